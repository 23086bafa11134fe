"""A Celery worker whose task publishes."""

import os

from celery import Celery

from flash_events.sharing.apps import declared
from tests.support.topic_work import news

celery_app = Celery("topics", broker=os.environ["CELERY_URL"], backend=os.environ["CELERY_URL"])


@celery_app.task  # type: ignore[untyped-decorator]
def publish(name: str, count: int) -> None:
    """Publishes numbers, from a thread."""
    topic = news(declared)
    for n in range(count):
        topic.publish_sync([name, n])
