"""From a :class:`~odbench.config.spec.RunSpec` to the run's ``pipeline.config``.

``parse`` turns the fields of ``conf/model`` into a proto, ``build`` applies what the run sets,
``learning`` fits learning rate and schedule to it, and ``fields`` reads and edits protos by
dotted path. Every change that a run makes to the published configuration is recorded.
Nothing here imports TensorFlow.
"""
