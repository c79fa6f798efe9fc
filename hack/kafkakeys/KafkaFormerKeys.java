import java.util.TreeSet;
import org.apache.kafka.common.config.ConfigDef;

/** Prints every key that a Kafka before 4 has, as "broker key" or "topic key", sorted; see README.md. */
public class KafkaFormerKeys {
    public static void main(String[] args) throws Exception {
        TreeSet<String> keys = new TreeSet<>();
        ConfigDef broker = (ConfigDef) ask("kafka.server.KafkaConfig$", "configDef");
        for (String key : broker.names()) keys.add("broker " + key);
        for (Object key : listed(ask("kafka.server.DynamicConfig$Broker$", "names"))) keys.add("broker " + key);
        Object topic;
        try {
            topic = ask("kafka.log.LogConfig$", "configNames");
        } catch (ClassNotFoundException e) { // from 3.5 on
            topic = Class.forName("org.apache.kafka.storage.internals.log.LogConfig").getMethod("configNames").invoke(null);
        }
        for (Object key : listed(topic)) keys.add("topic " + key);
        keys.forEach(System.out::println);
    }

    private static Object ask(String object, String method) throws Exception {
        Class<?> of = Class.forName(object);
        return of.getMethod(method).invoke(of.getField("MODULE$").get(null));
    }

    /** Scala's collections are no Java ones, and these files are compiled without them. */
    private static Iterable<?> listed(Object names) throws Exception {
        if (names instanceof Iterable) return (Iterable<?>) names;
        return (Iterable<?>) Class.forName("scala.jdk.javaapi.CollectionConverters")
            .getMethod("asJava", Class.forName("scala.collection.Iterable")).invoke(null, names);
    }
}
