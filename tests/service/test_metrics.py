from service.metrics import Metrics


def test_the_mean_batch_size_is_rows_per_batch() -> None:
    metrics = Metrics()
    assert metrics.mean_batch_size("m/1", "step") == 0
    for rows in (1, 2, 6):
        metrics.batch_size.labels("m/1", "step").observe(rows)
    metrics.batch_size.labels("m/1", "encode").observe(100)
    assert metrics.mean_batch_size("m/1", "step") == 3


def test_two_servers_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.requests.labels("Translate", "OK").inc()
    labels = {"method": "Translate", "code": "OK"}
    assert one.registry.get_sample_value("seqserve_requests_total", labels) == 1
    assert other.registry.get_sample_value("seqserve_requests_total", labels) is None


def test_what_is_expected_is_counted_from_zero() -> None:
    metrics = Metrics()
    metrics.expect(metrics.requests, [("Translate", "INTERNAL")])
    labels = {"method": "Translate", "code": "INTERNAL"}
    assert metrics.registry.get_sample_value("seqserve_requests_total", labels) == 0
