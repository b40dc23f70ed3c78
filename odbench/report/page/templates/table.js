// The selection table: sorts, filters, hides columns, picks rows. Data: see page/table.py.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("table-data").textContent);
  const table = document.getElementById("runs");
  const head = table.tHead;
  const body = table.tBodies[0];
  const PAGE = 200; // rows drawn at first, and more at a time
  const BEST = 1, TIED = 2;
  const NAME = 0; // the first column names the row

  // These parameters have columns of their own among the facts.
  const twice = new Set(["model.name", "train.batch_size"]);
  const columns = data.columns.map((column, index) => ({ ...column, index, shown: !twice.has(column.key) && !column.hidden }));
  for (const [key, value] of Object.entries(data.constant)) {
    columns.push({ key, heading: key, kind: "constant", value, shown: false });
  }
  data.rows.forEach((row, order) => {
    row.order = order;
    row.text = row.cells.map(text_of).join(" ").toLowerCase();
  });

  const state = { sort: null, down: false, limit: PAGE, picked: new Set(), open: new Set() };
  const element = (id) => document.getElementById(id);
  const filter = element("filter");
  const group = element("group");
  const onlyPicked = element("only-picked");

  function number_of(cell) {
    if (Array.isArray(cell)) return cell[0] ?? null;
    return null;
  }

  function text_of(cell) {
    if (Array.isArray(cell)) return cell[1] ?? "";
    return cell ?? "";
  }

  function make(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  // Long names break at their own joints.
  function broken(text) {
    const parts = document.createDocumentFragment();
    text.split(/(?<=[_=,/.-])/).forEach((piece, i) => {
      if (i) parts.append(document.createElement("wbr"));
      parts.append(piece);
    });
    return parts;
  }

  // ---- which rows, in which order

  function compare(a, b) {
    const column = state.sort;
    const x = a.cells[column.index], y = b.cells[column.index];
    const p = number_of(x), q = number_of(y);
    let found;
    if (p !== null || q !== null) {
      if (p === null || q === null) return p === null ? 1 : -1; // nothing measured comes last
      found = p - q;
    } else {
      const s = text_of(x), t = text_of(y);
      if (!s || !t) return s === t ? a.order - b.order : s ? -1 : 1;
      found = s.localeCompare(t, undefined, { numeric: true });
    }
    return (state.down ? -found : found) || a.order - b.order;
  }

  // "AP>0.4" compares a column, everything else must occur in the row.
  function conditions() {
    const tokens = filter.value.match(/"[^"]+"\s*[<>]=?\s*[\d.]+|[^\s<>"]+[<>]=?[\d.]+|"[^"]+"|\S+/g) || [];
    return tokens.map((token) => {
      const found = token.match(/^"?([^"<>]+?)"?\s*([<>]=?)\s*([\d.]+)$/);
      const column = found && column_named(found[1]);
      if (!column) {
        const word = token.replaceAll('"', "").toLowerCase();
        return (row) => row.text.includes(word);
      }
      const limit = Number(found[3]);
      return (row) => {
        const value = shown_number(row.cells[column.index]);
        if (value === null) return false;
        return { "<": value < limit, "<=": value <= limit, ">": value > limit, ">=": value >= limit }[found[2]];
      };
    });
  }

  function column_named(name) {
    const wanted = name.trim().toLowerCase();
    const known = columns.filter((column) => column.index !== undefined);
    const bare = (column) => column.heading.toLowerCase().replace(/\s*\(.*$/, "");
    return known.find((c) => c.heading.toLowerCase() === wanted || c.key.toLowerCase() === wanted || bare(c) === wanted)
      || known.find((c) => c.heading.toLowerCase().startsWith(wanted));
  }

  // The number as it is written, in the unit of the heading.
  function shown_number(cell) {
    const text = text_of(cell).replace(/^≈\s*/, "");
    const value = Number.parseFloat(text);
    return Number.isNaN(value) ? null : value;
  }

  function wanted_rows() {
    const wanted = conditions();
    const alone = onlyPicked.getAttribute("aria-pressed") === "true";
    const rows = data.rows.filter((row) =>
      (!group || group.value === "" || row.group === Number(group.value))
      && (!alone || state.picked.has(row.id))
      && wanted.every((holds) => holds(row)));
    return state.sort ? rows.sort(compare) : rows;
  }

  // ---- drawing

  function shown_columns() {
    return columns.filter((column) => column.shown);
  }

  function draw_head() {
    const row = make("tr");
    row.append(make("th", { className: "pick plain", scope: "col" }, make("span", { className: "hidden", textContent: "Pick" })));
    for (const column of shown_columns()) {
      const cell = make("th", { scope: "col", className: column.kind === "number" ? "number" : column.key === "status" ? "" : "words" });
      if (column.index === NAME) cell.classList.add("name-column");
      if (column.kind === "constant") {
        cell.classList.add("plain");
        cell.append(broken(column.heading));
      } else {
        const sorted = state.sort === column ? (state.down ? "descending" : "ascending") : "none";
        cell.setAttribute("aria-sort", sorted);
        const button = make("button", { type: "button", onclick: () => sort_by(column) }, broken(column.heading));
        button.dataset.key = column.key;
        cell.append(button);
      }
      row.append(cell);
    }
    head.replaceChildren(row);
  }

  function sort_by(column) {
    const downFirst = column.better === "higher";
    if (state.sort !== column) {
      state.sort = column;
      state.down = downFirst;
    } else if (state.down === downFirst) {
      state.down = !downFirst;
    } else {
      state.sort = null; // the third time: the order of the report
    }
    draw_head();
    draw_body();
    head.querySelector(`button[data-key="${CSS.escape(column.key)}"]`)?.focus();
  }

  function draw_body() {
    const rows = wanted_rows();
    const shown = rows.slice(0, state.limit);
    const used = shown_columns();
    const drawn = document.createDocumentFragment();
    for (const row of shown) {
      drawn.append(draw_row(row, used));
      if (state.open.has(row.id)) drawn.append(draw_inside(row, used.length + 1));
    }
    body.replaceChildren(drawn);
    const picked = state.picked.size;
    const sorted = state.sort ? `, sorted by ${state.sort.heading}, ${state.down ? "largest" : "smallest"} first` : "";
    element("table-status").textContent =
      `${shown.length} of ${data.rows.length} rows shown${sorted}${picked ? `, ${picked} picked` : ""}.`;
    element("more-rows").hidden = element("all-rows").hidden = shown.length === rows.length;
    element("all-rows").textContent = `Show all ${rows.length} rows`;
    onlyPicked.disabled = !picked && onlyPicked.getAttribute("aria-pressed") === "false";
    element("clear-picked").disabled = !picked;
  }

  function draw_row(row, used) {
    const line = make("tr");
    line.classList.toggle("picked", state.picked.has(row.id));
    const name = text_of(row.cells[NAME]);
    const box = make("input", { type: "checkbox", checked: state.picked.has(row.id) });
    box.setAttribute("aria-label", `Pick ${name}`);
    box.addEventListener("change", () => pick(row, box.checked, line));
    line.append(make("td", { className: "pick" }, box));
    for (const column of used) {
      if (column.index === NAME) line.append(name_cell(row, name));
      else if (column.kind === "constant") line.append(make("td", {}, broken(column.value)));
      else line.append(draw_cell(row.cells[column.index], column));
    }
    return line;
  }

  function name_cell(row, name) {
    const open = state.open.has(row.id);
    const button = make("button", { type: "button", title: "Open: command, record, reason" }, broken(name));
    button.setAttribute("aria-expanded", String(open));
    button.addEventListener("click", () => {
      const line = button.closest("tr");
      const now = !state.open.has(row.id);
      if (now) {
        state.open.add(row.id);
        line.after(draw_inside(row, line.cells.length));
      } else {
        state.open.delete(row.id);
        line.nextElementSibling.remove();
      }
      button.setAttribute("aria-expanded", String(now));
    });
    return make("th", { scope: "row" }, button);
  }

  function draw_cell(cell, column) {
    const made = make("td", { className: column.kind === "number" ? "number" : "" });
    if (cell === null || cell === undefined) {
      made.append(make("span", { textContent: "–", ariaLabel: "not measured", role: "img" }));
      return made;
    }
    const [, text, below, marks, note] = Array.isArray(cell) ? cell : [null, cell];
    const words = make("span", {}, column.kind === "number" ? text ?? "–" : broken(text ?? "–"));
    if (note === BEST) words.className = "best";
    if (column.key === "status" && !/^ok/.test(text ?? "")) words.className = "bad";
    made.append(words);
    if (note === BEST) made.append(make("span", { className: "hidden", textContent: " best" }));
    for (const mark of marks || "") {
      const flag = make("abbr", { className: "flag", textContent: mark, title: data.flags[mark] ?? "" });
      made.append(flag);
    }
    if (note === TIED) made.append(make("span", { className: "tied below", textContent: "≈ best" }));
    if (below) made.append(make("span", { className: "below", textContent: below }));
    return made;
  }

  function draw_inside(row, span) {
    const inside = make("div", { className: "inside" });
    for (const reason of row.reasons || []) inside.append(make("pre", { className: "bad", textContent: reason }));
    inside.append(make("div", { textContent: `Started ${row.started}. To run it again:` }));
    inside.append(make("pre", { textContent: row.command }));
    const records = make("div", { textContent: row.records.length > 1 ? "Records: " : "Record: " });
    row.records.forEach((path, i) => {
      if (i) records.append(", ");
      records.append(make("a", { href: path.split("/").map(encodeURIComponent).join("/"), textContent: path }));
    });
    inside.append(records);
    return make("tr", { className: "open" }, make("td", { colSpan: span }, inside));
  }

  // ---- what is picked

  function pick(row, wanted, line) {
    if (wanted) state.picked.add(row.id);
    else state.picked.delete(row.id);
    line.classList.toggle("picked", wanted);
    if (onlyPicked.getAttribute("aria-pressed") === "true") draw_body();
    else refresh_counts();
    tell_picked();
  }

  function refresh_counts() {
    const picked = state.picked.size;
    const status = element("table-status");
    status.textContent = status.textContent.replace(/(, \d+ picked)?\.$/, `${picked ? `, ${picked} picked` : ""}.`);
    onlyPicked.disabled = !picked;
    element("clear-picked").disabled = !picked;
  }

  // Pictures follow what is picked as figures do: all are shown where none of theirs is.
  function follow_pictures() {
    for (const pictures of document.querySelectorAll("table.pictures")) {
      const cells = [...pictures.querySelectorAll("[data-row]")];
      const any = cells.some((cell) => state.picked.has(cell.dataset.row));
      for (const cell of cells) cell.hidden = any && !state.picked.has(cell.dataset.row);
    }
  }

  function tell_picked() {
    follow_pictures();
    document.dispatchEvent(new CustomEvent("picked", { detail: new Set(state.picked) }));
  }

  // ---- the menu of columns

  function draw_menu() {
    const places = { number: "columns-measured", text: "columns-measured", varies: "columns-varying", constant: "columns-constant" };
    for (const column of columns) {
      if (column.index === NAME) continue;
      const box = make("input", { type: "checkbox", checked: column.shown });
      box.addEventListener("change", () => {
        column.shown = box.checked;
        if (!column.shown && state.sort === column) state.sort = null;
        draw_head();
        draw_body();
      });
      const value = column.kind === "constant" ? ` = ${column.value}` : "";
      element(places[column.kind]).append(make("label", {}, box, " ", broken(column.heading + value)));
    }
    element("columns-varying-set").hidden = !columns.some((column) => column.kind === "varies");
  }

  function close_menu(event) {
    const menu = element("columns");
    const outside = event.type === "click" && !menu.contains(event.target);
    if (menu.open && (outside || event.key === "Escape")) {
      menu.open = false;
      if (event.key === "Escape") menu.querySelector("summary").focus();
    }
  }

  let waiting;
  filter.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { state.limit = PAGE; draw_body(); }, 120);
  });
  group?.addEventListener("change", () => { state.limit = PAGE; draw_body(); });
  onlyPicked.addEventListener("click", () => {
    const now = onlyPicked.getAttribute("aria-pressed") !== "true";
    onlyPicked.setAttribute("aria-pressed", String(now));
    draw_body();
  });
  element("clear-picked").addEventListener("click", () => {
    state.picked.clear();
    onlyPicked.setAttribute("aria-pressed", "false");
    draw_body();
    tell_picked();
    filter.focus();
  });
  element("more-rows").addEventListener("click", () => { state.limit += PAGE; draw_body(); });
  element("all-rows").addEventListener("click", () => { state.limit = Infinity; draw_body(); });
  document.addEventListener("click", close_menu);
  document.addEventListener("keydown", close_menu);

  draw_menu();
  draw_head();
  draw_body();
})();
