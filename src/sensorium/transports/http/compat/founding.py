"""The addresses of the analytics service that Sensorium grew from, with its methods by default."""

from sensorium.transports.http.routes import Alias

FOUNDING: dict[str, Alias] = {
    "/api/clustering": Alias("logs.cluster", {"method": "kmeans"}),
    "/api/anomaly": Alias("metrics.detect_anomalies", {"method": "sigma"}),
    "/api/trend": Alias("metrics.forecast", {"method": "linear"}),
}
