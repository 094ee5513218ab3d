"""Speech: sound in (audio.py), utterances out (vad.py). Knows no ROS and no device."""
