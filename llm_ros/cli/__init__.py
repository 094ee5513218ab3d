"""The command `llm-ros`: one verb a file, found by main.py. Verbs import rclpy only when they run."""
