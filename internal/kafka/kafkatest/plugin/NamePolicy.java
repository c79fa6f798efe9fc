package test.plugin;

import java.util.Map;

import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.server.policy.CreateTopicPolicy;

/** Admits no topic whose name begins with forbidden. */
public class NamePolicy implements CreateTopicPolicy {
    @Override
    public void configure(Map<String, ?> configs) {
    }

    @Override
    public void validate(RequestMetadata request) {
        if (request.topic().startsWith("forbidden")) {
            throw new PolicyViolationException("the policy of the plug-in admits no name that begins with forbidden");
        }
    }

    @Override
    public void close() {
    }
}
