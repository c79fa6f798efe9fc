package dev.castellan.kafka;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The list of users' certificates, which says whose each is. Its format is described in the Go package plainauth, which
 * writes it. Whatever cannot be read lets nobody in: a faulty line its own user, a faulty file everybody.
 */
final class CertificateList {

    private static final Map<Path, WatchedFile<CertificateList>> LISTS = new ConcurrentHashMap<>();
    private static final Logger LOG = LoggerFactory.getLogger(CertificateList.class);

    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9._@+-]{1,128}");
    private static final Pattern FINGERPRINT = Pattern.compile("[0-9a-f]{64}");
    private static final Pattern END = Pattern.compile("[1-9][0-9]{0,11}");

    private static final CertificateList NOBODY = new CertificateList(Map.of(), List.of());

    private final Map<String, Entry> byFingerprint;
    /** Which further files count, as the first one says. */
    private final List<String> words;

    private CertificateList(Map<String, Entry> byFingerprint, List<String> words) {
        this.byFingerprint = byFingerprint;
        this.words = words;
    }

    private static CertificateList at(Path first, int part) {
        return LISTS.computeIfAbsent(Parts.path(first, part), path -> new WatchedFile<>(path,
                content -> new CertificateList(parse(content), Parts.words(content)), NOBODY, part == 0 ? null : NOBODY,
                "nobody is let in by a user's certificate" + (part == 0 ? "" : " of it"))).current();
    }

    /** The name of the user whose certificate has the fingerprint, as the list and its further files are now, or null. */
    static String userOf(Path first, String fingerprint) {
        CertificateList list = at(first, 0);
        Entry entry = list.byFingerprint.get(fingerprint);
        for (int part = 1; entry == null && part <= list.words.size(); part++) {
            CertificateList further = at(first, part);
            if (Parts.counts(list.words, part, further.words)) {
                entry = further.byFingerprint.get(fingerprint);
            }
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
            if (fields.length != 3 || !NAME.matcher(fields[0]).matches()
                    || !FINGERPRINT.matcher(fields[1]).matches() || !END.matcher(fields[2]).matches() || all.containsKey(fields[1])) {
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
