"""The report of a head: one page of HTML that stands alone. Knows no catalog, no route, no file."""

from service.report.gallery import UNKNOWN, Gallery, Pictured
from service.report.page import write_report
from service.report.style import POLICY
from service.report.subject import Subject

__all__ = ["POLICY", "UNKNOWN", "Gallery", "Pictured", "Subject", "write_report"]
