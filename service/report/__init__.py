"""The report of a head: one page of HTML that stands alone. Knows no catalog, no route, no file."""

from service.report.page import POLICY, Subject, write_report

__all__ = ["POLICY", "Subject", "write_report"]
