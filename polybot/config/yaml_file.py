"""YAML without its traps: every value is text, names are unique, nothing refers or executes.

Plain YAML reads ``no`` as false, ``0x10`` as 16 and ``1:30`` as 90, keeps the last of two equal
keys, and lets a few lines of anchors grow to gigabytes. Here a value is the text that was written,
and the settings' own types read it.
"""

from typing import Any

import yaml

from polybot.config.sources import FileProblemError


class _PlainLoader(yaml.SafeLoader):
    """Build mappings, lists, texts and nulls."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class declares it so
        first: [(tag, pattern) for tag, pattern in resolvers if tag == "tag:yaml.org,2002:null"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse aliases, which is what makes a bomb."""
        if self.check_event(yaml.AliasEvent):
            raise FileProblemError("must not use anchors and aliases (& and *)", line=self.line + 1)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse names that are no text or come twice."""
        names: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise FileProblemError("must have plain names as keys", line=line)
            if key.value in names:
                raise FileProblemError(f"sets {key.value[:60]!r} twice", line=line)
            names.add(key.value)
        return super().construct_mapping(node, deep=deep)


def parse_yaml(text: str) -> dict[str, Any]:
    """Return a settings file's mapping; an empty file gives an empty one.

    Raises:
        FileProblemError: Broken, too deep, with aliases or double names, or no mapping.
    """
    try:
        # A subclass of the safe loader: it builds no objects.
        document = yaml.load(text, Loader=_PlainLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        # Only the rule is told: PyYAML's full message quotes the line.
        raise FileProblemError("is not valid YAML", line=line) from None
    except yaml.YAMLError:
        raise FileProblemError("is not valid YAML: it contains control characters") from None
    except RecursionError:
        raise FileProblemError("is nested too deeply") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise FileProblemError("must be a mapping of sections and settings")
    return document
