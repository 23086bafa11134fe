"""A report that three Celery workers compute. Run: python -m examples.celery_report"""
