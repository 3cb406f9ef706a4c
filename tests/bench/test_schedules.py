"""The benchmark of schedules: it plays what it says."""

from __future__ import annotations

import pytest

from bench import schedules
from bench.schedules import PLANS, fifty_points, medians, stage
from movable.sched.exploration import Exploration
from movable.sched.strategies import Fifo


@pytest.mark.parametrize("tasks", PLANS)
def test_each_task_on_the_stage_has_about_fifty_points(tasks: int) -> None:
    """By itself; so many tasks, and nothing that goes wrong."""
    scene = stage(tasks)
    try:
        assert len(scene.plan.tasks) == tasks
        assert scene.run(Fifo()) is None
        for part in scene.plan.tasks:
            run = Exploration()
            scene.checkpoint.restore()
            scene.oracles.reset()
            run.run([(part.name, scene._task(part))], Fifo())
            assert 40 <= run.steps - 2 <= 60
    finally:
        scene.close()


def test_a_task_alone_has_fifty() -> None:
    """And nothing else."""
    run = Exploration()
    run.run([("task", fifty_points)], Fifo())

    assert run.steps - 2 == 50


def test_medians_are_of_each_figure() -> None:
    """Apart."""
    turns = [{"a": 1.0, "b": 9.0}, {"a": 7.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]

    assert medians(turns) == {"a": 3.0, "b": 4.0}


def test_everything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """And set beside what is wanted."""
    for name in ("ALONE", "ON_STAGE", "RESETS", "HUNTED"):
        monkeypatch.setattr(schedules, name, 20)
    found = schedules.measure(1)

    assert all(figure > 0 for figure in found.values())
    rate = found["stage_3_schedules_per_s"]
    assert found["stage_3_to_wanted"] == pytest.approx(rate / 9_000)
    assert found["stage_2_steps"] > 90
