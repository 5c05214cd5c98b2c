"""What a calibration cannot do, said in one sentence."""


class CalibrationError(ValueError):
    """Pictures or settings that no trustworthy calibration follows from; says what, where and what would be right."""
