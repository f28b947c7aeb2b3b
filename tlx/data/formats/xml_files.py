"""Annotation files of XML, which come from strangers."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import parse

from tlx.common.errors import DataError


def read_annotation_xml(path: Path) -> Element | None:
    """The first element of a file; nothing in it is expanded or fetched.

    Raises:
        DataError: malformed XML (with line and column), entities, an encoding that is not known.
    """
    try:
        top: Element | None = parse(path).getroot()
    except ParseError as error:
        raise DataError(f"{path}: malformed XML: {error}: correct or remove the file") from error
    except DefusedXmlException as error:
        raise DataError(f"{path}: refused: {error!r}: write it without DTD or entities") from error
    except (ValueError, LookupError) as error:  # encodings that the parser does not know
        raise DataError(
            f"{path}: its first line states an encoding that cannot be read ({error}): save it as "
            "UTF-8"
        ) from error
    return top
