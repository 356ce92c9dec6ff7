"""A champion that a short training made, and a store with corrections of other synthetic photographs."""

from pathlib import Path

import pytest

from fundusseg import fit
from fundusseg.inference import model_bundle
from fundusseg.service.store import Store
from tests.support import store_site
from tests.support.tiny import TINY


@pytest.fixture(scope="session")
def trained_site(tmp_path_factory) -> Path:
    """``first.bundle`` and ``store``: 40 photographs, 30 of them corrected."""
    place = tmp_path_factory.mktemp("trained")
    assert (
        fit.main(
            [
                *TINY,
                "--data.roi=picture",
                f"--trainer.default_root_dir={place}",
                f"--data.cache_dir={place}/c",
            ]
        )
        == 0
    )
    best = next(place.rglob("best.ckpt"))
    model_bundle.save(place / "first.bundle", [best], None, None)
    store = Store(place / "store")
    store_site.fill_phantoms(store, place / "first.bundle", 40, 30)
    store.close()
    return place
