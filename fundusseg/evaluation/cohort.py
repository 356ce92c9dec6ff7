"""The cohort of an evaluation: held-out pictures, and what the networks have seen of each one's patient and source."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from fundusseg.atomic_file import file_digest
from fundusseg.data.identity import Identity, files_digest, identify
from fundusseg.data.seen_patients import KnownPictures, SeenPatients
from fundusseg.data.splits import Split
from fundusseg.datasets.base import FundusDataset
from fundusseg.datasets.same_eyes import shared_with
from fundusseg.errors import CheckpointError, ConfigurationError, DatasetError, FundusSegError
from fundusseg.evaluation.scoring import Case
from fundusseg.sample import Record


def select_cohort(
    datasets: Sequence[FundusDataset],
    seen: SeenPatients,
    own: Split | None = None,
    given: Split | None = None,
    allow_seen: bool = False,
) -> list[Case]:
    """Select the cases to score: pictures whose patients no network was trained or chosen on.

    Args:
        datasets: Where the pictures are.
        seen: What all networks that take part were trained and chosen on.
        own: The checkpoint's split, where its own datasets are scored: what it was trained or chosen on is left out
            silently, as that is no mistake.
        given: A split whose test subset is scored, of the sources that are there.
        allow_seen: Score known patients too; they are marked.

    Returns:
        In the order of the datasets.

    Raises:
        ConfigurationError: Two datasets of one source.
        CheckpointError: A network does not say whom it was trained on.
        DatasetError: Nobody is left, a picture of the split is missing or has changed, a patient is known, a source
            shows eyes of one that was trained on, or two sources give the same photograph.
    """
    _check_sources(datasets)
    if not seen.complete and not allow_seen:
        raise CheckpointError(
            "a network that does not say whom it was trained on",
            "checkpoints that `fit` wrote with a split",
            "score it with --allow_seen, and the table says that nobody knows",
        )
    doubtful = {dataset.source: shared_with(dataset, seen.sources) for dataset in datasets}
    if not allow_seen:
        _refuse_same_eyes(doubtful)
    everything = [(dataset, record) for dataset in datasets for record in dataset.records]
    identities = identify_all(datasets, seen.files)
    seen.meet((record for _, record in everything), identities)
    wanted = _wanted(identities, None if allow_seen else own, given)
    chosen = [(dataset, record) for dataset, record in everything if record.key in wanted]
    if not allow_seen:
        known = {record.key for _, record in chosen if seen.forbids(record, identities[record.key])}
        # Among given pictures a known patient is a mistake; in the checkpoint's own datasets there are always some.
        if known and (own is None or given is not None):
            raise _known_error(known, len(chosen))
        chosen = [(dataset, record) for dataset, record in chosen if record.key not in known]
    if not chosen:
        raise DatasetError(
            f"{len(everything)} pictures, each of a patient that a network was trained or chosen on",
            "patients that it has never seen",
            "give other data with --config, or train with a larger --data.test_share",
        )
    _refuse_shared_photographs([record for _, record in chosen])
    marks = [seen.mark(record, identities[record.key]) for _, record in chosen]
    return [
        Case(dataset, record, "unknown" if mark == "no" and doubtful[dataset.source] else mark)
        for (dataset, record), mark in zip(chosen, marks, strict=True)
    ]


def _wanted(identities: Mapping[str, Identity], own: Split | None, given: Split | None) -> set[str]:
    """Keys of the pictures that the splits put to the test; of all where neither says."""
    if given is not None:
        return _tested(given, {key: identity.files for key, identity in identities.items()})
    if own is not None and own.by == "image":
        # Divided by image, a patient is on both sides: that nobody seen is scored would leave nearly nothing.
        tested = KnownPictures([(own, own.test)])
        return {key for key, identity in identities.items() if tested.hold(key, identity)}
    return set(identities)


def _refuse_same_eyes(doubtful: Mapping[str, Collection[str]]) -> None:
    """Refuse a public set that shows eyes of one that was trained on, cropped or re-named: no digest tells."""
    for source, trained in doubtful.items():
        if trained:
            raise DatasetError(
                f"{source}, which shows some of the same eyes as {', '.join(sorted(trained))}, which a network was "
                "trained on",
                "eyes that no network has seen",
                "score another set, or force it with --allow_seen, and the table says so",
            )


def _known_error(known: Collection[str], count: int) -> DatasetError:
    return DatasetError(
        f"{len(known)} of {count} pictures, such as {min(known)}, of patients that a network was trained or chosen on",
        "patients new to all networks",
        "leave --config out, which scores the new ones alone, give the run's split.json as --data.split, or force it "
        "with --allow_seen, and the table says so",
    )


def identify_all(datasets: Sequence[FundusDataset], known: Collection[str]) -> dict[str, Identity]:
    """What each picture is recognised by, by key.

    Args:
        datasets: Where they are.
        known: Digests of files that are recognised as they are, so that the picture need not be decoded.
    """
    everything = [(dataset, record) for dataset in datasets for record in dataset.records]
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(lambda pair: _identity(pair[0], pair[1], known), everything)
        return dict(zip((record.key for _, record in everything), found, strict=True))


def _identity(dataset: FundusDataset, record: Record, known: Collection[str]) -> Identity:
    """What a picture is recognised by; empty where a file cannot be read, which its own row will say."""
    try:
        files = files_digest(record)
        if files in known:
            return Identity(files)
        whole = type(dataset).load is not FundusDataset.load  # a reader that changes the picture after decoding it
        return identify(record, dataset.load(record).image if whole else dataset.photograph(record))
    except (OSError, FundusSegError):
        return Identity("")


def _tested(split: Split, digests: dict[str, str]) -> set[str]:
    """The test subset's pictures of the sources that are there."""
    sources = {key.split("/", 1)[0] for key in digests}
    test = {key for key in split.test if key.split("/", 1)[0] in sources}
    if missing := sorted(test - set(digests)):
        raise DatasetError(
            f"{len(missing)} pictures of the split's test subset that are not in the datasets, such as {missing[0]}",
            "the very pictures that the split was made of",
            "restore the data, or give another --data.split",
        )
    if not test:
        raise DatasetError(
            f"a split that tests no picture of {', '.join(sorted(sources))}",
            "a test subset of these sources",
            "give another --data.split, or leave it out",
        )
    split.check_files({key: digests[key] for key in test})
    return test


def _refuse_shared_photographs(records: Sequence[Record]) -> None:
    """Refuse a photograph that stands in two sources: it would count twice in the mean over all."""
    first: dict[str, Record] = {}
    twice = []
    for record in records if len({record.source for record in records}) > 1 else ():
        if record.image.is_file():
            try:
                other = first.setdefault(file_digest(record.image), record)
            except OSError:  # as of `_identity`
                continue
            if other.source != record.source:
                twice.append(f"{other.key} = {record.key}")
    if twice:
        raise DatasetError(
            f"{len(twice)} pictures that stand in two sources, such as {twice[0]}",
            "each photograph once",
            "leave one of the sources out, or score each by itself",
        )


def _check_sources(datasets: Sequence[FundusDataset]) -> None:
    names = [dataset.source for dataset in datasets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(
            f"two datasets of source {twice[0]!r}", "each source once", "give one of them another name"
        )
