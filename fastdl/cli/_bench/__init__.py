"""The one table of work, its one clock and an adapter for each library: for ``fastdl bench`` and for ``bench/``.

``_table`` says what a case is, ``_works`` has the cases that other libraries have too, each of which does them in a
module of its own (``_torch``, ``_jax``, ...; fastdl in ``_fastdl``). ``bench/cases`` enters all other functions in the
same table. ``_clock`` times in turn, ``_tour`` is the command.
"""
