"""``fundusseg VERB ...`` is ``python -m fundusseg.VERB ...``."""

import sys
from importlib import import_module

VERBS = {
    "prepare": "check datasets, show what is there, fill the cache",
    "fit": "train, choose the best checkpoint, test it",
    "evaluate": "score a checkpoint on patients it has never seen",
    "study": "train on each source, test on each: one table",
    "predict": "segment photographs and measure their cup/disc ratios",
    "serve": "segment photographs over HTTP, and show readers a page to correct them on",
    "listen": "take photographs over the DICOM network, and send segmentation and report back",
    "deidentify": "take photographs out of DICOM for research, under pseudonyms",
    "bundle": "put localiser, segmenters and calibration into one file",
    "calibrate": "fit a bundle to a site's readers from a few of its eyes",
    "improve": "learn from what readers corrected: challenger against champion",
    "export": "write networks for other programs: ONNX, OpenVINO, torch.export",
    "convert": "bring the weights of a Keras network along",
}


def main() -> None:
    """Hand the rest of the command line to the verb's module."""
    verb = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if verb in VERBS:
        del sys.argv[1]
        from fundusseg.cli import run

        run(import_module(f"fundusseg.{verb}").main)
    print("usage: fundusseg VERB [--help] ...\n")
    print("\n".join(f"  {name:10}{what}" for name, what in VERBS.items()))
    if verb not in ("-h", "--help"):
        print(f"\nfundusseg: error: got verb {verb!r}; expected one of {', '.join(VERBS)}.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
