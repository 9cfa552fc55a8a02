"""Is this rig fit today? Looks at machine, ports and instruments; sets and actuates nothing."""

from labctl.doctor.examine import examine
from labctl.doctor.findings import DeviceSeen, Latency, Level, PortSeen, Remark, Report

__all__ = ["DeviceSeen", "Latency", "Level", "PortSeen", "Remark", "Report", "examine"]
