"""From a :class:`~odbench.config.spec.RunSpec` to the run's ``pipeline.config``.

``parse`` turns the fields of ``conf/model`` into a proto, ``build`` applies what the run sets,
``learning`` fits learning rate and schedule to it, ``fields`` reads and edits protos by dotted
path, and ``read`` reads a ``pipeline.config`` back. Every change that a run makes to its model's
configuration is recorded. Nothing here imports TensorFlow.
"""
