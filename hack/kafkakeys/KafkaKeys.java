import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.server.config.AbstractKafkaConfig;
import org.apache.kafka.server.config.DynamicBrokerConfig;

/** Prints every broker key of the Kafka on the class path as "key update-mode", sorted; see README.md. */
public class KafkaKeys {
    public static void main(String[] args) {
        Map<String, String> modes = new TreeMap<>();
        ConfigDef definition = AbstractKafkaConfig.CONFIG_DEF;
        for (String key : definition.names()) modes.put(key, "read-only");
        modes.putAll(DynamicBrokerConfig.dynamicConfigUpdateModes());
        for (String key : DynamicBrokerConfig.ALL_DYNAMIC_CONFIGS)
            if (modes.getOrDefault(key, "read-only").equals("read-only"))
                throw new IllegalStateException(key + " is dynamic but has no update mode");
        modes.forEach((key, mode) -> System.out.println(key + " " + mode));
    }
}
