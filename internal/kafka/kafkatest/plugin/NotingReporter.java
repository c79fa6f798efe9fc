package test.plugin;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

import org.apache.kafka.common.metrics.KafkaMetric;
import org.apache.kafka.common.metrics.MetricsReporter;

/** Writes to the file of its key test.plugin.note that it runs. */
public class NotingReporter implements MetricsReporter {
    private Path note;

    @Override
    public void configure(Map<String, ?> configs) {
        note = Path.of(configs.get("test.plugin.note").toString());
    }

    @Override
    public void init(List<KafkaMetric> metrics) {
        try {
            Files.writeString(note, "the reporter of the plug-in runs");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void metricChange(KafkaMetric metric) {
    }

    @Override
    public void metricRemoval(KafkaMetric metric) {
    }

    @Override
    public void close() {
    }
}
