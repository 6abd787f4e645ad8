"""How a classifier is made: teacher, student, quantisation, calibration; needs the ``train`` extra, never runs in service."""
