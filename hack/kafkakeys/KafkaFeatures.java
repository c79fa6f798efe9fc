import java.util.TreeMap;
import org.apache.kafka.server.common.Feature;
import org.apache.kafka.server.common.MetadataVersion;

/** Prints which levels of which features the Kafka on the class path supports; see README.md. */
public class KafkaFeatures {
    public static void main(String[] args) {
        TreeMap<String, String> ranges = new TreeMap<>();
        // As a broker tells them while unstable.feature.versions.enable is off; it does not tell of one that can only be 0.
        for (Feature feature : Feature.PRODUCTION_FEATURES)
            if (feature.latestProduction() > 0)
                ranges.put(feature.featureName(), feature.minimumProduction() + " " + feature.latestProduction());
        ranges.put(MetadataVersion.FEATURE_NAME,
            MetadataVersion.MINIMUM_VERSION.featureLevel() + " " + MetadataVersion.latestProduction().featureLevel());
        ranges.forEach((name, range) -> System.out.println("feature " + name + " " + range));
        for (MetadataVersion version : MetadataVersion.VERSIONS)
            if (version.isProduction())
                System.out.println("level " + version.version() + " " + version.featureLevel()
                    + (version.didMetadataChange() ? " changed" : ""));
    }
}
