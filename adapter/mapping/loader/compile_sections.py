"""Compile all sections of a mapping except ``appointment``."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapter.mapping.communities_yaml import FILE, Communities
from adapter.mapping.engine import Community
from adapter.mapping.engine.community import Attribution, CommunityLookup
from adapter.mapping.engine.conditions import Condition, Filter
from adapter.mapping.engine.fetched import FetchReader
from adapter.mapping.engine.mail_readers import OwnTextReader, SentenceReader, TextReader
from adapter.mapping.engine.mapping import ForEach, NamedReader
from adapter.mapping.engine.reshape import (
    ItemReader,
    JsonReader,
    Labels,
    ListReader,
    PayloadReader,
    XmlReader,
)
from adapter.mapping.engine.tables import key_from_value
from adapter.mapping.loader.check_endpoint import NOT_A_VARIABLE_NAME, VARIABLE
from adapter.mapping.loader.compile_paths import PathRegistry
from adapter.mapping.loader.yaml_document import Document, KeyPath
from adapter.mapping.problems import unknown
from adapter.parsing.paths import Path, path_from_text
from adapter.parsing.templates import parse_template

Groups = list[list[Condition]]
#: The required and optional options for each kind of reader. The first one is the path that it
#: reads.
READERS: Final[Sequence[tuple[tuple[str, ...], tuple[str, ...]]]] = (
    (("json",), ()),
    (("list", "by", "equals"), ("value",)),
    (("list", "by", "value"), ("labels",)),
    (("xml",), ()),
    (("text", "line"), ()),
    (("text", "after"), ("before",)),
    (("text", "before"), ()),
    (("text", "without"), ("subject",)),
    (("text", "find"), ()),
)
#: The literal start of a URL under ``fetch:``. Only tests use http, with their own server.
URL_START: Final = re.compile(r"(?:https://[A-Za-z0-9.-]+(?::\d+)?|http://127\.0\.0\.1:\d+)/")
NOT_A_FETCH: Final = (
    "must start with https:// and the name of one host, and contain a value of the webhook, such "
    "as https://api.example.com/tours/{id}"
)
NOT_A_READER: Final = (
    "must be { json: … }, { xml: … }, { list: …, by: …, value: … }, { list: …, by: …, equals: … }, "
    "{ text: …, line: … }, { text: …, after: … }, { text: …, without: quotes } or "
    "{ text: …, find: time }"
)


class SectionCompiler:
    """Compiles all sections of a mapping except ``appointment``."""

    def __init__(self, document: Document, paths: PathRegistry, source: str) -> None:
        self.document = document
        self.paths = paths
        self.source = source

    def conditions_of(self, loaded: Mapping[str, Any]) -> Mapping[str, Groups]:
        """Compile the ``ignore``, ``cancellation`` and ``accept`` sections."""
        names = [name for name in ("ignore", "cancellation") if name in loaded]
        groups = {name: self.groups(name, loaded[name]) for name in names}
        accept = self.conditions("accept", loaded.get("accept", {}), ("accept",))
        return {**groups, "accept": [accept]}

    def groups(self, section: str, data: Any) -> Groups:
        """Compile ``ignore`` or ``cancellation`` to one or more groups of conditions."""
        listed = isinstance(data, list)
        groups = []
        for number, lines in enumerate(data if listed else [data]):
            where: KeyPath = (section, str(number)) if listed else (section,)
            if isinstance(lines, Mapping) and lines:
                groups.append(self.conditions(section, lines, where))
            else:
                self.document.add(where, "must be conditions such as 'type: test'")
        return groups

    def conditions(self, section: str, lines: Mapping[str, Any], where: KeyPath) -> list[Condition]:
        """Compile a group of conditions, with one condition per line."""
        compiled = (self._condition(section, text, lines[text], (*where, text)) for text in lines)
        return [condition for condition in compiled if condition]

    def _condition(self, section: str, text: str, value: Any, where: KeyPath) -> Condition | None:
        path = self.paths.path(text, where)
        negated, empty = False, None
        if isinstance(value, Mapping):
            if len(value) != 1 or not value.keys() <= {"not", "empty"}:
                word = next((key for key in value if key not in ("not", "empty")), "")
                self.document.add(where, unknown("option", word, ["not", "empty"]))
                return None
            negated, empty = "not" in value, value.get("empty")
            value = value.get("not", [])
        values = self._values(value, where)
        if empty is not None and not isinstance(empty, bool):
            self.document.add(where, "'empty' must be true or false")
        if path is None or values is None:
            return None
        at = self.document.at(where)
        return Condition(
            section=section, path=path, at=at, values=values, negated=negated, empty=empty
        )

    def _values(self, value: Any, where: KeyPath) -> frozenset[str] | None:
        items = value if isinstance(value, list) else [value]
        keys = [key_from_value(item) for item in items]
        if None in keys or value == "":
            message = "must be a value, a list of values, { not: … } or { empty: true }"
            self.document.add(where, message)
            return None
        return frozenset(key for key in keys if key is not None)

    def fetches(self, name: str, data: Mapping[str, Any]) -> list[NamedReader]:
        """Compile an entry under ``fetch:``. Return a list with its reader, or [] on error."""
        where: KeyPath = ("fetch", name, "get")
        token, basic = data.get("token"), tuple(data.get("basic", ()))
        for variable in filter(None, (token, *basic)):
            if not VARIABLE.match(variable):
                self.document.add(("fetch", name), NOT_A_VARIABLE_NAME)
        if token and basic:
            self.document.add(("fetch", name), "has both 'token' and 'basic': keep one")
        try:
            parsed = parse_template(data["get"])
        except ValueError as exc:
            self.document.add(where, str(exc))
            return []
        pieces = tuple(
            (text, None if path is None else self.paths.path(path, where)) for text, path in parsed
        )
        if not URL_START.match(parsed[0][0]) or not any(path for _, path in pieces):
            self.document.add(where, NOT_A_FETCH)
            return []
        reader = FetchReader(pieces=pieces, token=token, basic=basic)
        return [NamedReader(name=name, at=self.document.at(("fetch", name)), reader=reader)]

    def readings(self, name: str, data: Mapping[str, Any]) -> list[NamedReader]:
        """Compile a name under ``read`` to a reader, or to two readers for ``equals``."""
        where: KeyPath = ("read", name)
        shapes = (shape for shape in READERS if data.keys() >= {*shape[0]})
        needed, optional = next(shapes, ((), ()))
        if not needed:
            self.document.add(where, NOT_A_READER)
            return []
        for option in sorted(data.keys() - {*needed, *optional}):
            self.document.add((*where, option), f"cannot be combined with '{needed[0]}': remove it")
        readers = self._readers(name, needed, data, where)
        at = self.document.at(where)
        return [NamedReader(name=one, at=at, reader=reader) for one, reader in readers.items()]

    def _readers(
        self, name: str, needed: Sequence[str], data: Mapping[str, Any], where: KeyPath
    ) -> Mapping[str, PayloadReader]:
        if needed[0] == "text":
            return self._mail_reader(name, data, where)
        path = self.paths.path(data[needed[0]], (*where, needed[0]))
        if path is None:
            return {}
        if needed[0] in ("json", "xml"):
            return {name: JsonReader(path=path) if needed[0] == "json" else XmlReader(path=path)}
        items = self._list(path, data, where)
        if items is None or "equals" not in needed:
            return {name: items} if items else {}
        equals = self.paths.path(data["equals"], (*where, "equals"))
        index = f"{name} by {data['by']}"
        if equals is None:
            return {}
        return {index: items, name: ItemReader(path=equals, index=index)}

    def _mail_reader(
        self, name: str, data: Mapping[str, Any], where: KeyPath
    ) -> Mapping[str, PayloadReader]:
        read = (self.paths.path(text, (*where, "text")) for text in data["text"])
        texts = [path for path in read if path]
        if not texts:
            return {}
        given: dict[str, Any] = {"path": texts[0], "fallbacks": tuple(texts[1:])}
        if "find" in data:
            return {name: SentenceReader(**given, mention=data["find"])}
        if "without" in data:
            said = data.get("subject")
            subject = self.paths.path(said, (*where, "subject")) if said else None
            return {name: OwnTextReader(**given, subject=subject)}
        labels = {key: tuple(data[key]) for key in ("line", "after", "before") if key in data}
        return {name: TextReader(**(given | labels))}

    def _list(self, path: Path, data: Mapping[str, Any], where: KeyPath) -> ListReader | None:
        by = self._inner(data["by"], (*where, "by"))
        values = [self._inner(text, (*where, "value")) for text in data.get("value", ())]
        if by is None or None in values:
            return None
        return ListReader(
            path=path,
            by=by,
            values=tuple(value for value in values if value),
            labels=self._labels(data["labels"], (*where, "labels")) if "labels" in data else None,
            keeps_all="equals" in data,
        )

    def _labels(self, data: Mapping[str, str], where: KeyPath) -> Labels | None:
        path, by, value = (self._inner(data[key], (*where, key)) for key in ("list", "by", "value"))
        return Labels(path=path, by=by, value=value) if path and by and value else None

    def _inner(self, text: str, where: KeyPath) -> Path | None:
        """Parse a path inside a list item, which cannot be checked against the samples."""
        try:
            return path_from_text(text)
        except ValueError as exc:
            self.document.add(where, str(exc))
            return None

    def levels(self, data: Mapping[str, str]) -> list[ForEach]:
        """Compile the lines of ``for_each``. Each list is inside an item of the previous list."""
        levels = []
        for name, text in data.items():
            where: KeyPath = ("for_each", name)
            path = self.paths.path(text, where)
            if path:
                levels.append(ForEach(name=name, at=self.document.at(where), path=path))
        return levels

    def community(self, section: Mapping[str, Any] | None, known: Communities) -> CommunityLookup:
        """Compile the ``community`` section, using the communities in communities.yaml."""
        data = section or {}
        where: KeyPath = ("community",)
        at = self.document.at(where)
        if section is not None and ("always" in data) == ("from_" in data):
            message = "needs a path in the payload, or { always: <key in communities.yaml> }"
            self.document.add(where, message)
        always = known.by_key.get(data.get("always", ""))
        if "always" in data and always is None:
            text = unknown("community", data["always"], list(known.by_key))
            self.document.add((*where, "always"), f"{text} in {FILE}")
        self._require_attribution([always] if always else known.linked_to(self.source), known)
        lookup = self.paths.lookup(data.get("from_", ()), where)
        aliases = known.aliases_of(self.source)
        return CommunityLookup(
            source=self.source, at=at, lookup=lookup, always=always, known=aliases
        )

    def _require_attribution(self, linked: Sequence[Community], known: Communities) -> None:
        for community in linked:
            if not community.attributions.get(self.source):
                known.document.add(
                    (community.key, "attributions"),
                    f"has no attribution for {self.source}, which sends leads for this community: "
                    f"add '{self.source}: <attribution id>'",
                )

    def attribution(self, texts: Sequence[str] | None, community: CommunityLookup) -> Attribution:
        """Compile ``attribution``, which is required if a community has a table of attributions."""
        lookup = self.paths.lookup(texts or (), ("attribution",))
        linked = [community.always] if community.always else list(community.known.values())
        tables = [one.key for one in linked if self._is_table(one)]
        if tables and not texts:
            message = f"{tables[0]} has a table for {self.source}: add 'attribution: <path>'"
            self.document.add(("community",), message, field="attribution")
        where: KeyPath = ("attribution",) if texts else ("community",)
        return Attribution(source=self.source, at=self.document.at(where), lookup=lookup)

    def _is_table(self, community: Community) -> bool:
        return isinstance(community.attributions.get(self.source), Mapping)


def split_filter(groups: Mapping[str, Groups], inner: set[str]) -> tuple[Filter, Filter]:
    """Separate the conditions for an entire webhook from the conditions for its items."""
    lines = [[line] for group in groups.get("accept", []) for line in group]

    def pick(candidates: Groups, *, reads: bool) -> Groups:
        return [group for group in candidates if _reads(group, inner) is reads]

    on_delivery, on_item = (
        Filter(
            ignore=tuple(pick(groups.get("ignore", []), reads=reads)),
            cancellation=tuple(pick(groups.get("cancellation", []), reads=reads)),
            accept=[line for [line] in pick(lines, reads=reads)],
        )
        for reads in (False, True)
    )
    return on_delivery, on_item


def _reads(conditions: Sequence[Condition], names: set[str]) -> bool:
    return any(condition.path.parts[0] in names for condition in conditions)
