"""The report of a head: one page of HTML that stands alone. Knows no catalog, no route, no file."""

from service.report.page import Subject, write_report

__all__ = ["Subject", "write_report"]
