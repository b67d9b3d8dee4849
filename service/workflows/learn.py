"""A dataset becomes a head: asked for in the service, done in the trainer, visible to all after."""

import os
from collections.abc import Sequence

from classifiers.asked import AUTO
from classifiers.errors import TrainingCancelled
from classifiers.head import Head
from classifiers.labels import LabelSet, find_problems
from classifiers.recipe import Recipe
from classifiers.suspects import rows_of
from classifiers.training import learn
from service.catalog import SYSTEM, Job
from service.errors import LabelsNotReady
from service.names import check_name
from service.problems import problem_entry
from service.product import Product
from service.schemas import LearnOptions
from service.workflows.datasets import label_set
from service.workflows.heads import keep, sweep
from service.workflows.vectors import Report, complete


def request_learning(
    product: Product,
    workspace: str,
    *,
    name: str,
    dataset: str,
    task: str,
    options: LearnOptions,
    idempotency_key: str | None = None,
    actor: str = SYSTEM,
) -> Job:
    """Queues the training of a head, once its labels are known to be fit for it.

    Raises:
        NotFound: there is no such dataset.
        LabelsNotReady: it cannot be learnt from; every reason is named.
        Conflict: the idempotency key belongs to another request.
    """
    check_name("head", name)
    request = {
        "name": name,
        "dataset": dataset,
        "task": task,
        "options": options.model_dump(exclude_defaults=True),
        "space": product.space.to_dict(),
    }
    jobs = product.catalog.jobs
    same = jobs.repeated(workspace, request, idempotency_key)
    if same is not None:
        return same  # whatever has become of the dataset since
    checked_labels(product, workspace, dataset, task, options.order)
    return jobs.submit(workspace, "learn", request, idempotency_key, actor=actor)


def checked_labels(
    product: Product, workspace: str, dataset: str, task: str = AUTO, order: Sequence[str] = ()
) -> LabelSet:
    """The dataset's labels, if a head of this task can be trained on them.

    Raises:
        LabelsNotReady: it cannot; every reason is named.
    """
    labels = label_set(product.catalog.datasets.images(workspace, dataset))
    problems = find_problems(labels, task=task, order=order)
    errors = [p for p in problems if p.severity == "error"]
    if errors:
        raise LabelsNotReady(
            f"Dataset '{dataset}' cannot be learnt from: "
            + " ".join(p.detail.rstrip(".") + "." for p in errors),
            hint=f"PUT /v1/datasets/{dataset}/labels changes labels; "
            f"POST /v1/datasets/{dataset}/images adds images.",
            problems=[problem_entry(p) for p in problems],
        )
    return labels


def run_learning(product: Product, job: Job, owner: str, report: Report) -> None:
    """Does a queued job: vectors, evaluation, fit, artefact, and last the catalog's row.

    Raises:
        TrainingCancelled: somebody cancelled it.
        Exception: it failed; the caller writes down why.
    """
    asked = job.request
    report("checking labels", 0.0)
    options = LearnOptions.model_validate(asked["options"])
    labels = checked_labels(product, job.workspace, asked["dataset"], asked["task"], options.order)
    X = complete(
        product,
        job.workspace,
        labels.digests,
        product.embedder,
        product.workspaces[job.workspace].store,
        lambda stage, part: report(stage, 0.2 * part),
    )
    head = learn(
        X,
        labels,
        name=asked["name"],
        space_id=product.space.id,
        blocks=[(b.name, b.start, b.stop) for b in product.space.blocks],
        recipe=Recipe(seed=options.seed, report=options.report),
        task=asked["task"],
        order=options.order,
        author=options.author,
        allow_no_signal=options.allow_no_signal,
        progress=lambda stage, part: report(stage, 0.2 + 0.78 * part),
        threads=product.settings.threads or os.cpu_count() or 1,
    )
    report("registering", 0.98)
    try:
        _register(product, job, owner, head, labels)
    except (LabelsNotReady, TrainingCancelled):
        sweep(product, job.workspace)
        raise


def _register(product: Product, job: Job, owner: str, head: Head, labels: LabelSet) -> None:
    artefact = keep(product, job.workspace, head)
    catalog = product.catalog
    with catalog.database.write() as connection:
        gone = set(labels.digests) - catalog.datasets.held(
            connection, job.workspace, labels.digests
        )
        if gone:
            # Whoever erased them was told that no head had learnt from them.
            raise LabelsNotReady(f"{len(gone)} images were erased meanwhile.", hint="Ask again.")
        version = catalog.heads.register(
            connection,
            job.workspace,
            job.request["name"],
            artefact=artefact,
            space_id=product.space.id,
            dataset=job.request["dataset"],
            training=dict(zip(labels.digests, labels.labels, strict=True)),
            actor=job.actor,
            rows=rows_of(labels),
        )
        result = {"head": job.request["name"], "version": version}
        if not catalog.jobs.succeed(connection, job.id, owner, result):
            raise TrainingCancelled
