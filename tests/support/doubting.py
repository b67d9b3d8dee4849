"""Probabilities before their share of an even guess: heat maps add up to the log odds of these."""

from dataclasses import replace
from typing import Any

import numpy as np
from in_process import Http

from classifiers.head import Head

TINY = 1e-12
"""What is smaller is lost beside the doubt."""

Float64 = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def without_doubt(head: Head) -> Head:
    """The same head, as sure as its scores make it."""
    calibration = head.card.calibration and replace(head.card.calibration, doubt=0.0)
    return replace(head, card=replace(head.card, calibration=calibration))


def undoubted(head: Head, p: Float64) -> Float64:
    """What a head answered, without its doubt."""
    question = head.card.question
    return _without(p, head.card.doubt, len(question.classes) if question.exclusive else 2)


def undoubted_said(http: Http, prediction: dict[str, Any]) -> dict[str, float]:
    """The probabilities of a prediction, without the doubt that the head's card names."""
    said = prediction["probabilities"]
    place = f"/v1/heads/{prediction['head']}/versions/{prediction['version']}"
    doubt = http.get(place).json()["calibration"]["doubt"]
    among = 2 if prediction["task"] == "multilabel" else len(said)
    return {label: float(_without(np.array(p), doubt, among)) for label, p in said.items()}


def _without(p: Float64, doubt: float, among: int) -> Float64:
    return np.asarray(np.clip((p - doubt / among) / (1 - doubt), TINY, None))
