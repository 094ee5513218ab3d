"""How deep the queues are. ROS's default of 10 drops requests without a word when more clients than that ask at once.

Only the depth differs from ROS's own profiles, which no peer has to agree with: every other client and server still
fits.
"""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# Requests and answers of services and actions.
SERVICES = QoSProfile(depth=1000)
# Feedback of fast models comes hundreds of times a second: a client that pauses a moment loses nothing.
FEEDBACK = QoSProfile(depth=2000)
# The last value, also for those who come later.
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# What was said: nothing of a few quick turns is lost.
TURNS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)

ACTION_SERVICES = {f"{kind}_service_qos_profile": SERVICES for kind in ("goal", "result", "cancel")}
