"""The report of a head: one page of HTML that stands alone. Knows no catalog, no route, no file."""

from service.report.gallery import Gallery, Pictured
from service.report.page import Subject, write_report
from service.report.style import POLICY

__all__ = ["POLICY", "Gallery", "Pictured", "Subject", "write_report"]
