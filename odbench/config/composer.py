"""Composing the many runs of a sweep: what they share is composed once.

Hydra takes a quarter of a second to compose a run from its files, and typing it half as long. The
cells of a sweep differ in few fields. So the files are composed once for each choice of groups, and
each part of the specification is typed once for each set of values given for it.
"""

from __future__ import annotations

import copy
import dataclasses
import typing
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from odbench.config.compose import config_errors, to_spec
from odbench.config.spec import RunSpec
from odbench.errors import ConfigError


class _Whole(Exception):
    """This run has to be composed as a whole."""


class Composer:
    """Composes runs of one primary configuration; lives within one ``hydra_session``.

    Args:
        config_name: The primary configuration.
        common: Overrides of every run, as of ``hydra.searchpath``.
    """

    def __init__(self, config_name: str, common: Sequence[str] = ()) -> None:
        self._config_name = config_name
        self._common = list(common)
        loader = GlobalHydra.instance().config_loader()
        self._repository = loader.repository
        # the loader knows the choices of a group, which glob(*) asks for
        self.parser = OverridesParser.create(config_loader=loader)
        self._schema = OmegaConf.structured(RunSpec)
        self._types = typing.get_type_hints(RunSpec)
        self._overrides: dict[str, Any] = {}
        self._groups: dict[str, bool] = {}
        self._bases: dict[tuple[str, ...], DictConfig] = {}
        self._parts: dict[tuple[str, ...], Any] = {}

    def spec(self, overrides: Sequence[str]) -> RunSpec:
        """The run of those overrides, equal to the one that Hydra composes from them.

        Raises:
            ConfigError: A wrong key, type, choice, range or combination.
        """
        try:
            return self._assembled(overrides)
        except (_Whole, ConfigError, HydraException, OmegaConfBaseException):
            # an error is told as Hydra's own composition tells it
            with config_errors():
                return to_spec(compose(self._config_name, [*self._common, *overrides]))

    def _assembled(self, overrides: Sequence[str]) -> RunSpec:
        groups: list[str] = []
        values: dict[str, list[str]] = defaultdict(list)
        for text in overrides:
            if self._chooses(text):
                groups.append(text)
            else:
                values[self._parsed(text).key_or_group.partition(".")[0]].append(text)
        if not values.keys() <= self._types.keys():
            raise _Whole
        base = self._base(tuple(groups))
        parts = {key: self._part(base, groups, key, values[key]) for key in self._types}
        return RunSpec(**parts)

    def _parsed(self, text: str) -> Any:
        if text not in self._overrides:
            self._overrides[text] = self.parser.parse_override(text)
        return self._overrides[text]

    def _chooses(self, text: str) -> bool:
        """Whether an override takes part in choosing files, and not only sets a value."""
        override = self._parsed(text)
        key = override.key_or_group
        if override.package is not None or override.is_hydra_override():
            return True
        if key not in self._groups:
            self._groups[key] = self._repository.group_exists(key)
        return self._groups[key]

    def _base(self, groups: tuple[str, ...]) -> DictConfig:
        if groups not in self._bases:
            config = compose(self._config_name, [*self._common, *groups])
            if not config.keys() <= self._types.keys():
                raise _Whole
            self._bases[groups] = config
        return self._bases[groups]

    def _part(self, base: DictConfig, groups: list[str], key: str, given: list[str]) -> Any:
        known = (*groups, "/", key, *given)
        if known not in self._parts:
            self._parts[known] = self._typed(base, key, given)
        return self._parts[known]

    def _typed(self, base: DictConfig, key: str, given: list[str]) -> Any:
        """One field of the specification, with the values given for it.

        Nothing else is in there: an interpolation of another field cannot be resolved.
        """
        config = copy.deepcopy(OmegaConf.masked_copy(base, [key]))
        OmegaConf.set_struct(config, True)
        ConfigLoaderImpl._apply_overrides_to_config([self._parsed(t) for t in given], config)
        kind = self._types[key]
        if not dataclasses.is_dataclass(kind):
            self._schema[key] = config[key]  # which checks and converts it
            return self._schema[key]
        # plain values, so that the merge checks each key and type against the schema once more
        plain = OmegaConf.to_container(config[key], resolve=True, enum_to_str=True)
        schema = OmegaConf.structured(kind)
        return OmegaConf.to_object(OmegaConf.merge(schema, OmegaConf.create(plain)))
