"""How well spoken commands are understood: sentences said by espeak-ng, heard as voice_node hears them.

    python bench/voice.py [--recognizer pocketsphinx|faster-whisper] [--recognizer-model DIR] [--every N]
                          [--conditions "A; B"] [--json OUT.json]

Five sets: `written` are commands of the development set (test/data/planner_dev.json, example world, refusals left out),
in anybody's words; `clinic` are the same of another world, for which nothing here was tuned; `drawn` are other draws of
the grammar that the language model comes from; `stop` are ways to say stop; `others` are sentences for somebody else,
to a robot with a wake word. Each is said in every condition (voice, speed, noise), goes through voice activity
detection, recognition and name correction, and is judged by its words and by its plan: a stand-in for the language
model writes the first plan that the planner's grammar admits. Intervals are Wilson's, 95 %. With --json a second run
goes on where the first was ended. Needs espeak-ng.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import time
import wave
from functools import cache
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from planner_helpers import obedient  # noqa: E402

from llm_ros.planner import Planner, load_skills, load_world  # noqa: E402
from llm_ros.planner.judge import wilson  # noqa: E402
from llm_ros.voice.audio import RATE, from_s16le, resample  # noqa: E402
from llm_ros.voice.correct import Corrector  # noqa: E402
from llm_ros.voice.hearing import Address, Hearing, is_stop  # noqa: E402
from llm_ros.voice.phrases import Phrases, spoken  # noqa: E402
from llm_ros.voice.recognizer import BACKENDS, make_recognizer  # noqa: E402
from llm_ros.voice.vocabulary import Vocabulary  # noqa: E402

# Name -> voice of espeak-ng, words a minute, signal to noise in dB (None: silence), kind of noise.
CONDITIONS = {
    "en-us": ("en-us", 160, None, ""),
    "en-us, slow": ("en-us", 130, None, ""),
    "en-us, fast": ("en-us", 190, None, ""),
    "en-us, female": ("en-us+f3", 160, None, ""),
    "en-gb": ("en-gb", 160, None, ""),
    "en-gb-scotland": ("en-gb-scotland", 160, None, ""),
    "en-us, pink noise 20 dB": ("en-us", 160, 20, "pink"),
    "en-us, pink noise 10 dB": ("en-us", 160, 10, "pink"),
    "en-us, babble 20 dB": ("en-us", 160, 20, "babble"),
}
STOPS = "stop|Stop now!|stop please|cancel|cancel that|halt|abort|robot stop".split("|")
# Set of commands -> file in test/data, key of the world in it, world file.
WRITTEN = {
    "written": ("planner_dev.json", "home", ROOT / "config" / "world.yaml"),
    "clinic": ("planner_clinic.json", "clinic", ROOT / "test" / "data" / "planner_clinic_world.yaml"),
}
OTHERS = """
What are we having for dinner tonight?
I saw a very good film yesterday.
The weather will be better at the weekend.
Did you call your mother back?
My shoes are still wet from the rain.
She has been working there for ten years.
We could take the train at half past nine.
Have you paid the electricity bill?
That is the best news I have heard all week.
The children are asleep already.
No, I don't think so.
What a pity.
See you tomorrow.
He said that he would be late.
Could you pass me the salt?
I can't find my glasses anywhere.
How was school today?
Let's play a game of cards.
The neighbours are having a party again.
Turn the music down, please.
I would like to stop smoking this year.
The shop at the corner closes at six.
Top of the morning to you.
Okay.
What?
Shut up!
Yes, of course.
Hop over and have a look.
Is that a robin on the fence?
This road but not that one.
""".strip().split("\n")
BEFORE_S, AFTER_S = 4.0, 1.2  # of silence or noise: the node has been listening for a while


@cache
def said(text: str, voice: str, speed: int) -> np.ndarray:
    """What espeak-ng says: float32 at RATE."""
    command = ["espeak-ng", "--stdin", "--stdout", "-v", voice, "-s", str(speed)]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    with wave.open(io.BytesIO(done.stdout)) as file:  # the header's length is not known when a pipe is written to
        start, rate = done.stdout.index(b"data") + 8, file.getframerate()
    return resample(from_s16le(done.stdout[start : len(done.stdout) - (len(done.stdout) - start) % 2]), rate)


@cache
def noise(kind: str) -> np.ndarray:
    """20 s of noise with the power 1: pink (as much power in each octave), or six voices that talk at once."""
    draw, count = np.random.default_rng(0), 20 * RATE
    if kind == "pink":
        spectrum = np.fft.rfft(draw.standard_normal(count)) / np.sqrt(np.arange(1, count // 2 + 2))
        sound = np.fft.irfft(spectrum, count)
    else:
        text, sound = " ".join(OTHERS), np.zeros(count)
        for voice in ("en-us", "en-gb", "en-us+f2", "en-gb+f4", "en-us+m3", "en-gb-scotland"):
            sound += np.roll(said(text, voice, 170), draw.integers(count))[:count]
    return (sound / np.sqrt(np.mean(sound**2))).astype(np.float32)


def scene(text: str, condition: tuple) -> np.ndarray:
    """A command with silence around it, in noise that is `snr` dB weaker than the voice."""
    voice, speed, snr, kind = condition
    voiced = said(text, voice, speed)
    sound = np.pad(voiced, (round(BEFORE_S * RATE), round(AFTER_S * RATE)))
    if snr is None:
        return sound
    level = np.sqrt(np.mean(voiced**2)) * 10 ** (-snr / 20)
    return sound + np.float32(level) * np.resize(np.roll(noise(kind), 7 * len(voiced)), len(sound))


class Bench:
    """A recogniser with the vocabulary of a world, and a planner to tell what is made of what it hears."""

    def __init__(self, name: str, model: str, world: Path):
        skills, world = load_skills(ROOT / "config" / "skills.yaml"), load_world(world)
        vocabulary = Vocabulary(skills, world, ("robot",))
        self._recognizer, self._corrector = make_recognizer(name, vocabulary, model), Corrector(vocabulary)
        self._planner = Planner(obedient(), skills, world)
        self.phrases = Phrases(skills, world)

    @cache  # noqa: B019
    def plan(self, text: str) -> str:
        """What became of the command, as a text to compare: its status and its steps."""
        plan = self._planner.plan(text)
        return plan.status + " " + json.dumps([step.to_json() for step in plan.steps])

    def hear(self, text: str, condition: tuple, wake: bool) -> dict:
        """One record: what was heard of it, and whether that is right."""
        hearing = Hearing(self._recognizer, self._corrector, Address(("robot",) if wake else (), 8.0))
        sound, begun, heard = scene(text, condition), time.perf_counter(), []
        for start in range(0, len(sound), RATE // 20):
            heard += hearing.push(sound[start : start + RATE // 20])
        heard += hearing.flush()
        seconds = time.perf_counter() - begun
        whole = " ".join(one.text for one in heard)
        record = {"text": text, "heard": whole, "raw": " ".join(one.recognition.text for one in heard)}
        record |= {"utterances": len(heard), "seconds": round(seconds, 3), "sound_s": round(len(sound) / RATE, 2)}
        record["alternatives"] = [text for one in heard for text in one.recognition.alternatives]
        record["confidence"] = round(min((one.recognition.confidence for one in heard), default=0.0), 3)
        record["meanings"] = [one.meaning.name.lower() for one in heard]
        record["latency"] = round(max((one.latency for one in heard), default=0.0), 3)
        return record

    def judge(self, record: dict) -> dict:
        """The record with its verdicts."""
        want, got = spoken(record["text"]), spoken(record["heard"])
        record["exact"] = record["utterances"] == 1 and got == want
        record["raw_exact"] = record["utterances"] == 1 and spoken(record["raw"]) == want
        record["errors"], record["words"] = edits(want, got), len(want)
        wanted = self.plan(record["text"])
        understood = got and record["utterances"] == 1 and not is_stop(record["heard"])
        plans = [self.plan(record["heard"])] if understood else []
        record["same_plan"] = record["exact"] or plans == [wanted]
        record["wrong_plan"] = not record["same_plan"] and any(plan.startswith("plan") for plan in plans)
        return record


def edits(want: list[str], got: list[str]) -> int:
    """Words to put in, leave out or change."""
    row = list(range(len(got) + 1))
    for i, word in enumerate(want, 1):
        before, row = row, [i]
        for j, other in enumerate(got, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (word != other)))
    return row[-1]


def texts(benches: dict[str, Bench], every: int) -> dict[str, list[str]]:
    """The sets, without commands for which there is no plan; `every`: only each n-th text."""

    def planned(name, lines):
        return [text for text in lines if benches[name].plan(text).startswith("plan")][:80:every]

    sets = {}
    for name, (file, world, _) in WRITTEN.items():
        entries = json.loads((ROOT / "test" / "data" / file).read_text())
        mine = [one for one in entries if one["world"] == world and one.get("skills", "full") == "full"]
        sets[name] = planned(name, [one["command"] for one in mine if one["class"] != "refuse"])
    drawn = [" ".join(words) for words in benches["written"].phrases.sentences(400, seed=1)]
    sets["drawn"] = planned("written", dict.fromkeys(drawn))
    return sets | {"stop": STOPS, "others": OTHERS}


def share(records: list[dict], verdict: str) -> dict:
    """How many have the verdict, with its interval."""
    right = sum(bool(one[verdict]) for one in records)
    low, high = wilson(right, len(records))
    return {"right": right, "of": len(records), "share": round(right / len(records), 4)} | {
        "interval": [round(low, 4), round(high, 4)]
    }


def summary(records: list[dict]) -> dict:
    """Figures of records of one set."""
    kind = records[0]["set"]
    if kind in ("stop", "others"):
        for one in records:
            one["stopped"], one["obeyed"] = "stop" in one["meanings"], "command" in one["meanings"]
        found = {verdict: share(records, verdict) for verdict in ("stopped", "obeyed")}
    else:
        found = {verdict: share(records, verdict) for verdict in ("raw_exact", "exact", "same_plan", "wrong_plan")}
        found["word_error_rate"] = round(sum(r["errors"] for r in records) / sum(r["words"] for r in records), 4)
        for least in (0.3, 0.5):
            sure = [one for one in records if one["confidence"] >= least]
            found[f"confidence>={least}"] = {"kept": len(sure), "of": len(records)} | {
                verdict: sum(one[verdict] for one in sure) for verdict in ("same_plan", "wrong_plan")
            }
    found["latency_median_s"] = float(np.median([one["latency"] for one in records]))
    found["real_time_factor"] = round(sum(r["seconds"] for r in records) / sum(r["sound_s"] for r in records), 3)
    return found


def table(results: dict) -> str:
    """The figures as lines."""
    lines = []
    for name, found in results.items():
        cells = [
            f"{key} {value['right']}/{value['of']} {value['share']:.0%} ({value['interval'][0]:.0%}"
            f"-{value['interval'][1]:.0%})"
            for key, value in found.items()
            if isinstance(value, dict) and "share" in value
        ]
        wer = f"  words wrong {found['word_error_rate']:.0%}" if "word_error_rate" in found else ""
        lines.append(f"{name}: {'  '.join(cells)}{wer}  x{found['real_time_factor']} of real time")
    return "\n".join(lines)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recognizer", choices=list(BACKENDS), default="pocketsphinx")
    parser.add_argument("--recognizer-model", default="", metavar="DIR")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th command")
    parser.add_argument("--conditions", default="", metavar="A;B", help=f"of {'; '.join(CONDITIONS)} (all)")
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="keep the figures and every record there")
    args = parser.parse_args()
    benches = {name: Bench(args.recognizer, args.recognizer_model, world) for name, (_, _, world) in WRITTEN.items()}
    chosen = [name.strip() for name in args.conditions.split(";") if name.strip()] or list(CONDITIONS)
    records = json.loads(args.json.read_text())["records"] if args.json and args.json.exists() else []
    done = {(one["set"], one["condition"], one["text"]) for one in records}
    sets = texts(benches, args.every)

    def results() -> dict:
        found = {}
        for kind in sets:
            mine = [one for one in records if one["set"] == kind]
            groups = {f"{kind}, all": mine} | {
                f"{kind}, {name}": [one for one in mine if one["condition"] == name] for name in CONDITIONS
            }
            found |= {name: summary(group) for name, group in groups.items() if group}
        return found

    def keep():
        if args.json:
            made = {"recognizer": args.recognizer, "results": results(), "records": records}
            args.json.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")

    for name in chosen:
        for kind, lines in sets.items():
            for text in lines:
                if (kind, name, text) not in done:
                    bench = benches["clinic" if kind == "clinic" else "written"]
                    record = bench.hear(text, CONDITIONS[name], wake=kind == "others")
                    records.append(bench.judge(record | {"set": kind, "condition": name}))
            keep()
        print(f"{name}: {len(records)} records", file=sys.stderr, flush=True)
    print(table(results()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
