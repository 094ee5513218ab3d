"""The messages that carry sound: our Audio, and those of audio_common_msgs where that package is installed.

Two packages bear that name. AudioData and AudioDataStamped of ros-drivers hold 16 bit samples of a rate and number of
channels that only parameters tell; AudioStamped of the newer one describes itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np

from llm_ros.params import ParameterError
from llm_ros.voice.audio import AudioError, check_format, decode, from_s16le
from llm_ros.voice.params import AudioParams

# Arrays of an audio_common_msgs/AudioData that describes itself: the full scale of each, and what silence is.
_ARRAYS = {
    "int16_data": (2.0**15, 0),
    "float32_data": (1.0, 0),
    "int32_data": (2.0**31, 0),
    "int8_data": (2.0**7, 0),
    "uint8_data": (2.0**7, 128),
}


def _ours(message, _params: AudioParams):
    check_format(message.rate, message.channels)
    return decode(message.encoding, bytes(message.data), message.channels), message.rate, message.header.frame_id


def _bare(message, params: AudioParams):
    return from_s16le(bytes(message.data), params.channels), params.rate, ""


def _stamped(message, params: AudioParams):
    return (*_bare(message.audio, params)[:2], message.header.frame_id)


def _described(message, _params: AudioParams):
    info = message.audio.info
    check_format(info.rate, info.channels)
    for name, (scale, silence) in _ARRAYS.items():
        values = np.asarray(getattr(message.audio.audio_data, name), np.float64)
        if not len(values):
            continue
        if len(values) % info.channels:
            raise AudioError(f"{name}: {len(values)} samples are no whole number of frames of {info.channels}")
        values = np.nan_to_num(np.clip((values - silence) / scale, -1, 1))
        return values.reshape(-1, info.channels).mean(axis=1).astype(np.float32), info.rate, message.header.frame_id
    raise AudioError(f"audio_data: none of {', '.join(_ARRAYS)} has samples")


# Type of message -> what reads one: float32 mono, samples per second, frame_id. Readers raise AudioError.
KINDS: dict[str, Callable] = {
    "llm_ros/msg/Audio": _ours,
    "audio_common_msgs/msg/AudioData": _bare,
    "audio_common_msgs/msg/AudioDataStamped": _stamped,
    "audio_common_msgs/msg/AudioStamped": _described,
}


def audio_type(name: str, load: Callable = importlib.import_module):
    """(message class, reader) of a type in KINDS. Raises ParameterError if there is none, or it is not installed."""
    if name not in KINDS:
        raise ParameterError(f"audio.type = {name!r}: needs one of {', '.join(KINDS)}")
    package, _, kind = name.split("/")
    try:
        return getattr(load(f"{package}.msg"), kind), KINDS[name]
    except (ImportError, AttributeError) as error:
        raise ParameterError(f"audio.type = {name!r} is not installed: {error}") from error
