import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.server.config.AbstractKafkaConfig;
import org.apache.kafka.server.config.QuotaConfig;

/**
 * Prints every broker key of the Kafka on the class path as "key update-mode type", sorted, and after the type of a whole
 * number that can be changed at run time its default; see README.md.
 */
public class KafkaKeys {
    public static void main(String[] args) throws Exception {
        Map<String, String> modes = new TreeMap<>();
        for (String key : AbstractKafkaConfig.CONFIG_DEF.names()) modes.put(key, "read-only");
        Map<String, ConfigDef.ConfigKey> definitions = new TreeMap<>(AbstractKafkaConfig.CONFIG_DEF.configKeys());
        Iterable<?> dynamic;
        try {
            Class<?> config = Class.forName("org.apache.kafka.server.config.DynamicBrokerConfig");
            putModes(modes, config.getMethod("dynamicConfigUpdateModes").invoke(null));
            dynamic = (Iterable<?>) config.getField("ALL_DYNAMIC_CONFIGS").get(null);
        } catch (ClassNotFoundException e) { // before 4.3 it is a Scala object
            Class<?> config = Class.forName("kafka.server.DynamicBrokerConfig$");
            Object module = config.getField("MODULE$").get(null);
            putModes(modes, config.getMethod("dynamicConfigUpdateModes").invoke(module));
            Class<?> broker = Class.forName("kafka.server.DynamicConfig$Broker$");
            dynamic = (Iterable<?>) broker.getMethod("names").invoke(broker.getField("MODULE$").get(null));
            // The quotas of replication are no keys of the file there, and are set for one broker or for all.
            for (String quota : QuotaConfig.brokerQuotaConfigs().names()) modes.put(quota, "cluster-wide");
        }
        definitions.putAll(QuotaConfig.brokerQuotaConfigs().configKeys());
        for (Object key : dynamic)
            if (modes.getOrDefault(key, "read-only").equals("read-only"))
                throw new IllegalStateException(key + " is dynamic but has no update mode");
        // A file of any version may name them; since 4.3 they are defined as a key as well.
        modes.putIfAbsent(AbstractConfig.CONFIG_PROVIDERS_CONFIG, "read-only");
        modes.forEach((key, mode) -> {
            ConfigDef.ConfigKey definition = definitions.get(key);
            ConfigDef.Type type = definition == null ? ConfigDef.Type.LIST : definition.type; // config.providers
            String value = type == ConfigDef.Type.INT && mode.equals("cluster-wide") ? " " + definition.defaultValue : "";
            System.out.println(key + " " + mode + " " + type.name().toLowerCase(Locale.ROOT) + value);
        });
    }

    private static void putModes(Map<String, String> modes, Object more) {
        ((Map<?, ?>) more).forEach((key, mode) -> modes.put((String) key, (String) mode));
    }
}
