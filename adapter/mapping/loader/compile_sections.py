"""The other sections of a mapping, compiled: conditions, readings, items, keys, communities."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapter.mapping.communities_yaml import FILE, Communities
from adapter.mapping.engine.community import Attribution, CommunityLookup
from adapter.mapping.engine.conditions import Condition, Filter
from adapter.mapping.engine.mapping import Each, Reading
from adapter.mapping.engine.reshape import JsonRead, Labels, ListRead, Read, TextRead
from adapter.mapping.engine.tables import key_from_value
from adapter.mapping.loader.compile_paths import PathRegistry
from adapter.mapping.loader.yaml_document import Document, Where
from adapter.mapping.problems import unknown
from adapter.parsing.paths import Path, path_from_text

Groups = list[list[Condition]]


class SectionCompiler:
    """Compiles what is not under ``appointment:``."""

    def __init__(self, document: Document, places: PathRegistry, source: str) -> None:
        self.document = document
        self.places = places
        self.source = source

    def groups(self, section: str, data: Any) -> Groups:
        """``ignore`` and ``cancellation``: lines that must all hold, or a list of such."""
        listed = isinstance(data, list)
        groups = []
        for number, lines in enumerate(data if listed else [data]):
            where: Where = (section, str(number)) if listed else (section,)
            if isinstance(lines, Mapping) and lines:
                groups.append(self.conditions(section, lines, where))
            else:
                self.document.add(where, "must be lines such as 'type: test'")
        return groups

    def conditions(self, section: str, lines: Mapping[str, Any], where: Where) -> list[Condition]:
        """One condition for each line."""
        found = (self._condition(section, text, lines[text], (*where, text)) for text in lines)
        return [condition for condition in found if condition]

    def _condition(self, section: str, text: str, said: Any, where: Where) -> Condition | None:
        path = self.places.path(text, where)
        negated, empty = False, None
        if isinstance(said, Mapping):
            if len(said) != 1 or not said.keys() <= {"not", "empty"}:
                word = next((key for key in said if key not in ("not", "empty")), "")
                self.document.add(where, unknown("option", word, ["not", "empty"]))
                return None
            negated, empty = "not" in said, said.get("empty")
            said = said.get("not", [])
        values = self._values(said, where)
        if empty is not None and not isinstance(empty, bool):
            self.document.add(where, "empty is true or false")
        if path is None or values is None:
            return None
        at = self.document.at(where)
        return Condition(
            section=section, path=path, at=at, values=values, negated=negated, empty=empty
        )

    def _values(self, said: Any, where: Where) -> frozenset[str] | None:
        items = said if isinstance(said, list) else [said]
        keys = [key_from_value(item) for item in items]
        if any(key is None for key in keys) or (said == "" and not isinstance(said, list)):
            self.document.add(where, "must be a value, a list of values, or { not: … }")
            return None
        return frozenset(key for key in keys if key is not None)

    def reading(self, name: str, data: Mapping[str, Any]) -> Reading | None:
        """One name under ``read:``."""
        where: Where = ("read", name)
        kinds = [kind for kind in ("json", "list", "text") if kind in data]
        needs = {"json": set(), "list": {"by", "value"}, "text": {"line"}}
        if len(kinds) != 1 or not needs[kinds[0]] <= data.keys():
            self.document.add(
                where, "needs { json: … }, { list: …, by: …, value: … } or { text: …, line: … }"
            )
            return None
        strangers = data.keys() - needs[kinds[0]] - {kinds[0], "labels"}
        for stranger in sorted(strangers):
            self.document.add((*where, stranger), f"does not go with '{kinds[0]}'")
        path = self.places.path(data[kinds[0]], (*where, kinds[0]))
        read = self._read(kinds[0], path, data, where) if path else None
        return Reading(name=name, at=self.document.at(where), read=read) if read else None

    def _read(self, kind: str, path: Path, data: Mapping[str, Any], where: Where) -> Read | None:
        if kind == "json":
            return JsonRead(path=path)
        if kind == "text":
            return TextRead(path=path, line=data["line"])
        by = self._inner(data["by"], (*where, "by"))
        values = [self._inner(text, (*where, "value")) for text in data["value"]]
        if by is None or None in values:
            return None
        return ListRead(
            path=path,
            by=by,
            values=tuple(value for value in values if value),
            labels=self._labels(data["labels"], (*where, "labels")) if "labels" in data else None,
        )

    def _labels(self, data: Mapping[str, str], where: Where) -> Labels | None:
        paths = [self._inner(data[key], (*where, key)) for key in ("list", "by", "value")]
        found = [path for path in paths if path]
        return Labels(path=found[0], by=found[1], value=found[2]) if len(found) == 3 else None

    def _inner(self, text: str, where: Where) -> Path | None:
        """A path inside an element of a list: the samples cannot be asked for each alone."""
        try:
            return path_from_text(text)
        except ValueError as exc:
            self.document.add(where, str(exc))
            return None

    def each(self, data: Mapping[str, str] | None) -> Each | None:
        """``for_each``."""
        if not data:
            return None
        name, text = next(iter(data.items()))
        where: Where = ("for_each", name)
        path = self.places.path(text, where)
        return Each(name=name, at=self.document.at(where), path=path) if path else None

    def community(self, said: Mapping[str, Any] | None, known: Communities) -> CommunityLookup:
        """``community``, against communities.yaml; None where the section is missing."""
        data = said or {}
        where: Where = ("community",)
        at = self.document.at(where)
        if said is not None and ("always" in data) == ("from_" in data):
            self.document.add(where, "needs a place in the payload, or { always: … }")
        always = known.by_key.get(data.get("always", ""))
        if "always" in data and always is None:
            text = unknown("community", data["always"], list(known.by_key))
            self.document.add((*where, "always"), f"{text} in {FILE}")
        self._refuse_uncredited([always] if always else known.serving(self.source), known)
        look = self.places.look(data.get("from_", ()), where)
        aliases = known.known_to(self.source)
        return CommunityLookup(source=self.source, at=at, look=look, always=always, known=aliases)

    def _refuse_uncredited(self, served: Sequence[Any], known: Communities) -> None:
        for community in served:
            if not community.attributions.get(self.source):
                known.document.add(
                    (community.key, "attributions"),
                    f"{self.source} knows this community and has no attribution here",
                )

    def attribution(self, texts: Sequence[str] | None, community: CommunityLookup) -> Attribution:
        """``attribution``: needed exactly where a community has a table for the source."""
        look = self.places.look(texts, ("attribution",)) if texts else None
        served = [community.always] if community.always else list(community.known.values())
        tables = [one.key for one in served if self._is_table(one)]
        if tables and not texts:
            said = f"{tables[0]} has a table for {self.source}: add 'attribution: <place>'"
            self.document.add(("community",), said, field="attribution")
        where: Where = ("attribution",) if texts else ("community",)
        return Attribution(source=self.source, at=self.document.at(where), look=look)

    def _is_table(self, community: Any) -> bool:
        return isinstance(community.attributions.get(self.source), Mapping)


def split_filter(groups: Mapping[str, Groups], inner: set[str]) -> tuple[Filter, Filter]:
    """What is judged once, and what is judged item by item because it reads the item."""
    outer_gate: dict[str, Any] = {}
    inner_gate: dict[str, Any] = {}
    for section in ("ignore", "cancellation"):
        found = groups.get(section, [])
        outer_gate[section] = tuple(group for group in found if not _reads(group, inner))
        inner_gate[section] = tuple(group for group in found if _reads(group, inner))
    lines = [line for group in groups.get("accept", []) for line in group]
    outer_gate["accept"] = tuple(line for line in lines if not _reads([line], inner))
    inner_gate["accept"] = tuple(line for line in lines if _reads([line], inner))
    return Filter(**outer_gate), Filter(**inner_gate)


def _reads(conditions: Sequence[Condition], names: set[str]) -> bool:
    return any(condition.path.parts[0] in names for condition in conditions)
