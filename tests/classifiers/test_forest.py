"""A forest keeps its heads apart while they come and go, and answers for any of them at once."""

import threading

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from made_heads import QUICK, alternating, small_head, taught, vectors

from classifiers.errors import SpaceMismatch
from classifiers.forest import Forest
from classifiers.head import Head

CLASSES = [("cat", "dog"), ("a", "b", "c"), ("w", "x", "y", "z")]
X = vectors(alternating(("cat", "dog"), 3), 1.0, seed=9)


def one_block_head() -> Head:
    """Return a head that looks at other columns than the others do."""
    labels = alternating(("cat", "dog"), 12)
    from dataclasses import replace

    return taught(vectors(labels, 3.0), labels, recipe=replace(QUICK, blocks=("stage1",)))


HEADS = [*(small_head(classes, seed) for classes in CLASSES for seed in (0, 1)), one_block_head()]


class Comings(RuleBasedStateMachine):
    """Heads are added and removed at random; a dictionary knows what should be there."""

    def __init__(self) -> None:
        super().__init__()
        self.forest = Forest()
        self.there: dict[int, Head] = {}

    @rule(number=st.integers(0, len(HEADS) - 1))
    def add(self, number: int) -> None:
        slot = self.forest.add(HEADS[number])
        assert slot not in self.there
        self.there[slot] = HEADS[number]

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.there)))
        self.forest.remove(slot)
        del self.there[slot]
        with pytest.raises(KeyError):
            self.forest.raw(X, [slot])

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def ask_some(self, data: st.DataObject) -> None:
        which = data.draw(st.lists(st.sampled_from(sorted(self.there)), max_size=5))
        found = self.forest.raw(X, which)
        for raw, slot in zip(found, which, strict=True):
            assert raw.tobytes() == self.there[slot].raw(X).tobytes()

    @invariant()
    def everybody_answers(self) -> None:
        assert len(self.forest) == len(self.there)
        assert self.forest.slots == list(self.there)
        asked = self.forest.ask(X)
        found = zip(self.forest.raw(X), asked.by_head, strict=True)
        for (raw, p), head in zip(found, self.there.values(), strict=True):
            assert raw.tobytes() == head.raw(X).tobytes()
            assert p.tobytes() == head.answers(X).tobytes()
        for column, head in zip(asked.usualness.T, self.there.values(), strict=True):
            assert column.tobytes() == head.usualness(X).tobytes()


TestComings = Comings.TestCase


def test_room_is_won_back_when_most_of_it_is_dead() -> None:
    forest = Forest([small_head()] * 40)
    for slot in range(39):
        forest.remove(slot)
    assert len(forest._packed.parts.leaves) < 4 * len(small_head().trees.roots)
    assert forest.raw(X)[0].tobytes() == small_head().raw(X).tobytes()


def test_adding_a_head_does_not_copy_the_others_each_time() -> None:
    forest = Forest()
    grown = 0
    for _ in range(200):
        before = forest._packed.parts.leaves
        forest.add(small_head())
        grown += forest._packed.parts.leaves is not before
    assert grown < 12


def test_a_head_of_another_space_is_refused() -> None:
    from dataclasses import replace

    forest = Forest([small_head()])
    card = replace(small_head().card, space_id="another")
    stranger = replace(small_head(), card=card)
    with pytest.raises(SpaceMismatch) as caught:
        forest.add(stranger)
    assert (caught.value.expected, caught.value.found) == ("space", "another")
    assert len(forest) == 1


def test_an_empty_forest_answers_for_nobody() -> None:
    assert Forest().raw(X) == []
    assert Forest([small_head()]).ask(X, []).by_head == []


def test_who_asks_while_heads_come_and_go_gets_whole_answers() -> None:
    forest = Forest([HEADS[0]])
    expected = HEADS[0].raw(X).tobytes()
    wrong: list[bytes] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            (raw,) = forest.raw(X, [0])
            if raw.tobytes() != expected:
                wrong.append(raw.tobytes())

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for _ in range(30):
        slots = [forest.add(head) for head in HEADS]
        for slot in slots:
            forest.remove(slot)
    stop.set()
    for asker in askers:
        asker.join()
    assert wrong == []


@given(st.integers(1, 600))
def test_any_number_of_images_is_answered_in_order(count: int) -> None:
    many: npt.NDArray[np.float32] = np.resize(X, (count, X.shape[1]))
    (raw,) = Forest([HEADS[2]]).raw(many)
    assert raw.tobytes() == np.resize(HEADS[2].raw(X), (count, 3)).tobytes()
