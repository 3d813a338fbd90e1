"""What Prometheus and Grafana are told: alerts and a dashboard as data, generated into the chart's files."""
