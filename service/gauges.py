"""What a product holds at this moment, read when Prometheus asks. No series for each workspace."""

import shutil
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from features.errors import FeatureError
from service.errors import ServiceError
from service.product import Product

JOB_STATES = ("queued", "running", "succeeded", "failed", "cancelled")


class Gauges(Collector):
    """Jobs, heads, records and room on the disk, over all workspaces.

    Args:
        product: what is looked at. What cannot be read now is left out: the rest is still true.
    """

    def __init__(self, product: Product) -> None:
        self._product = product

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Reads everything anew."""
        for read in (self._jobs, self._heads, self._records, self._room):
            try:
                yield read()
            except (ServiceError, FeatureError, OSError):
                continue

    def _jobs(self) -> GaugeMetricFamily:
        found = self._product.catalog.jobs.counts()
        family = GaugeMetricFamily("penultimate_jobs", "Jobs by state.", labels=["state"])
        for state in JOB_STATES:
            family.add_metric([state], found.get(state, 0))
        return family

    def _heads(self) -> GaugeMetricFamily:
        catalog = self._product.catalog
        count = sum(len(catalog.heads.entries(each)) for each in catalog.workspaces())
        return GaugeMetricFamily("penultimate_heads", "Heads in the library.", count)

    def _records(self) -> GaugeMetricFamily:
        places = map(self._product.workspaces.__getitem__, self._product.catalog.workspaces())
        count = sum(len(place.store) for place in places)
        text = "Images whose vectors are stored, in the space that is served."
        return GaugeMetricFamily("penultimate_records", text, count)

    def _room(self) -> GaugeMetricFamily:
        free = shutil.disk_usage(self._product.settings.home).free
        text = "Bytes free on the disk of the home folder."
        return GaugeMetricFamily("penultimate_home_free_bytes", text, free)
