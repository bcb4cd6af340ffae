"""The parts of the two gates: ``bench/instructions.py`` counts instructions, ``bench/compare.py`` times two commits."""
