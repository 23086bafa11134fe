"""Brokers: event logs, a run directory and signals, in memory or in Redis."""

from flash_events.brokers.broker import Broker
from flash_events.brokers.directory import RunDirectory, RunRecord
from flash_events.brokers.ids import CallbackId, ConnectionId, PageId, RunId, WorkerId
from flash_events.brokers.log import Batch, EventLog, EventLogs, LogLimits
from flash_events.brokers.place import NOWHERE, QUEUED, At, Nowhere, Place, Queued
from flash_events.brokers.signals import Signals
from flash_events.brokers.urls import broker_of, check_broker

__all__ = [
    "NOWHERE",
    "QUEUED",
    "At",
    "Batch",
    "Broker",
    "CallbackId",
    "ConnectionId",
    "EventLog",
    "EventLogs",
    "LogLimits",
    "Nowhere",
    "PageId",
    "Place",
    "Queued",
    "RunDirectory",
    "RunId",
    "RunRecord",
    "Signals",
    "WorkerId",
    "broker_of",
    "check_broker",
]
