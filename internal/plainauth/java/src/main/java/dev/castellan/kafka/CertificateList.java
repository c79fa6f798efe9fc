package dev.castellan.kafka;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The list of users' certificates, which says whose each is. Its format is described in the Go package plainauth, which
 * writes it. Whatever cannot be read lets nobody in: a faulty line its own user, a faulty file everybody.
 */
final class CertificateList {

    private static final Map<Path, WatchedFile<CertificateList>> LISTS = new ConcurrentHashMap<>();
    private static final Logger LOG = LoggerFactory.getLogger(CertificateList.class);

    private static final CertificateList NOBODY = new CertificateList(Map.of(), 1);

    private final Map<String, Entry> byFingerprint;
    /** How many files count, which the first one says. */
    private final int files;

    private CertificateList(Map<String, Entry> byFingerprint, int files) {
        this.byFingerprint = byFingerprint;
        this.files = files;
    }

    private static CertificateList at(Path first, int part) {
        return LISTS.computeIfAbsent(Parts.path(first, part), path -> new WatchedFile<>(path,
                content -> new CertificateList(parse(content), Parts.in(content)), NOBODY, part == 0 ? null : NOBODY,
                "nobody is let in by a user's certificate" + (part == 0 ? "" : " of it"))).current();
    }

    /** The name of the user whose certificate has the fingerprint, as the list and its further files are now, or null. */
    static String userOf(Path first, String fingerprint) {
        CertificateList list = at(first, 0);
        Entry entry = list.byFingerprint.get(fingerprint);
        for (int part = 1; entry == null && part < list.files; part++) {
            entry = at(first, part).byFingerprint.get(fingerprint);
        }
        return entry == null || entry.endSeconds() <= System.currentTimeMillis() / 1000 ? null : entry.user();
    }

    @Override
    public String toString() {
        return byFingerprint.size() + " certificates of users";
    }

    /** Reads all lines. What is wrong with one is told by its number. */
    static Map<String, Entry> parse(byte[] content) {
        Map<String, Entry> all = new HashMap<>();
        String[] lines = new String(content, StandardCharsets.ISO_8859_1).split("\n", -1);
        for (int i = 0; i < lines.length; i++) {
            String line = lines[i];
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            String[] fields = line.split(":", -1);
            if (fields.length != 3 || !fields[0].matches("[A-Za-z0-9._@+-]{1,128}") || !fields[1].matches("[0-9a-f]{64}")
                    || !fields[2].matches("[1-9][0-9]{0,11}") || all.containsKey(fields[1])) {
                LOG.error("List of users' certificates: line {} lets nobody in", i + 1);
                continue;
            }
            all.put(fields[1], new Entry(fields[0], Long.parseLong(fields[2])));
        }
        return Map.copyOf(all);
    }

    /** Whose a certificate is, and when it ends, in seconds since 1970. */
    record Entry(String user, long endSeconds) {}
}
