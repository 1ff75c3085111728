"""Certificates: how often the prediction of a mask alone survives further reveals.

An analysis (`pipeline.analysis`) with one table, `certificates`: a row for each stored mask of the
best restart.
"""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.certificates.config import CertificateConfig
    from pipeline.certificates.kind import CERTIFICATES, LAYOUT, certificates_of
    from pipeline.certificates.summary import SURE, AreaCertificates, by_area
else:
    __getattr__, __dir__ = lazy(__name__)
