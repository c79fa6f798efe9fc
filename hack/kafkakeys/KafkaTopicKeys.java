import java.util.Locale;
import java.util.TreeMap;
import org.apache.kafka.storage.internals.log.LogConfig;

/** Prints every key of a topic that the Kafka on the class path has as "key type", sorted; see README.md. */
public class KafkaTopicKeys {
    public static void main(String[] args) {
        TreeMap<String, String> types = new TreeMap<>();
        for (String key : LogConfig.configNames())
            types.put(key, LogConfig.configType(key).map(type -> type.name().toLowerCase(Locale.ROOT)).orElse("string"));
        types.forEach((key, type) -> System.out.println(key + " " + type));
    }
}
