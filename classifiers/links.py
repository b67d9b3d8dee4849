"""Links: how the scores of a head become answers, as numbers that compiled loops can compare.

- classes: one score is the log-odds of the second of two classes; several are softmax scores.
- each: a score is the log-odds of its own label.
- grades: a score is the log-odds of a grade above its own.
- number: the score is the answer.
"""

CLASSES, EACH, GRADES, NUMBER = 0, 1, 2, 3
