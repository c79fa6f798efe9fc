package dev.castellan.kafka;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.NameCallback;
import javax.security.auth.callback.PasswordCallback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import javax.security.auth.login.AppConfigurationEntry.LoginModuleControlFlag;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.security.plain.PlainAuthenticateCallback;
import org.apache.kafka.common.security.plain.internals.PlainSaslServer;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

class FilePlainCallbackHandlerTest {

    private static final String ONE = "0123456789abcdef";
    private static final String TWO = "fedcba9876543210";
    private static final Path TESTDATA = Path.of(System.getProperty("testdata", "../testdata"));
    private static final String NAME = "anna";
    private static final String PASSWORD = "correct horse battery staple";
    private static final String NOBODY = "# nobody\n";

    @TempDir
    Path dir;

    /** The file that the Go side wrote, tried with the logins that the Go side tries. */
    @TestFactory
    Stream<DynamicTest> everySharedLoginHasItsOutcome() throws IOException {
        FilePlainCallbackHandler handler = handlerOf(TESTDATA.resolve("users"));
        List<String> lines = Files.readAllLines(TESTDATA.resolve("logins"));
        return Stream.iterate(3, i -> i < lines.size(), i -> i + 2).map(i -> DynamicTest.dynamicTest(lines.get(i - 1), () -> {
            String[] fields = lines.get(i).split(" ");
            boolean wanted = fields[0].equals("accepted");
            String name = decode(fields[1]);
            String password = decode(fields[2]);
            assertEquals(wanted, accepts(handler, name, password));
            assertEquals(wanted, accepts(handler, name, password), "the second time");
            assertEquals(wanted, acceptsThroughKafka(handler, name, password), "through Kafka's SASL server");
        }));
    }

    @TestFactory
    Stream<DynamicTest> everySharedLineHasItsOutcome() throws IOException {
        byte[] content = Files.readAllBytes(TESTDATA.resolve("lines"));
        Map<Integer, String> faults = parse(content, parse(new byte[0], null)).faults().stream().collect(Collectors.toMap(
                UsersFile.Fault::line, UsersFile.Fault::reason));
        String[] lines = new String(content, StandardCharsets.UTF_8).split("\n", -1);
        return Stream.iterate(2, i -> i < lines.length, i -> i + 2).map(i -> DynamicTest.dynamicTest(lines[i - 1], () ->
                assertEquals(lines[i - 1].startsWith("# refused"), faults.containsKey(i + 1), faults.get(i + 1))));
    }

    @Test
    void aUserWhoIsAddedLogsInAtOnceAndOneWhoIsRemovedIsRefusedAtOnce() throws Exception {
        Path file = dir.resolve("users");
        Files.writeString(file, NOBODY);
        FilePlainCallbackHandler handler = handlerOf(file);
        assertFalse(accepts(handler, NAME, PASSWORD));
        replace(file, goodFile());
        assertTrue(accepts(handler, NAME, PASSWORD));
        replace(file, NOBODY);
        assertFalse(accepts(handler, NAME, PASSWORD));
    }

    /** The way a Secret is mounted: users -> ..data/users, ..data -> a directory; the swap renames ..data alone. */
    @Test
    void theSwapOfASecretsSymlinkIsSeen() throws Exception {
        Path before = Files.createDirectory(dir.resolve("..before"));
        Path after = Files.createDirectory(dir.resolve("..after"));
        Files.writeString(before.resolve("users"), goodFile());
        Files.writeString(after.resolve("users"), NOBODY);
        Files.setLastModifiedTime(after.resolve("users"), Files.getLastModifiedTime(before.resolve("users")));
        Path data = Files.createSymbolicLink(dir.resolve("..data"), before.getFileName());
        Path file = Files.createSymbolicLink(dir.resolve("users"), Path.of("..data", "users"));
        FilePlainCallbackHandler handler = handlerOf(file);
        assertTrue(accepts(handler, NAME, PASSWORD));

        Path next = Files.createSymbolicLink(dir.resolve("..data_tmp"), after.getFileName());
        Files.move(next, data, StandardCopyOption.ATOMIC_MOVE);
        Files.delete(before.resolve("users"));
        assertFalse(accepts(handler, NAME, PASSWORD));
    }

    @Test
    void aMissingFileLetsNobodyInUntilItIsThere() throws Exception {
        Path file = dir.resolve("users");
        FilePlainCallbackHandler handler = handlerOf(file);
        assertFalse(accepts(handler, NAME, PASSWORD));
        Files.writeString(file, goodFile());
        assertTrue(accepts(handler, NAME, PASSWORD));
        Files.delete(file);
        assertFalse(accepts(handler, NAME, PASSWORD), "a password that was accepted before is not remembered");
    }

    @Test
    void aDirectoryInPlaceOfTheFileLetsNobodyIn() throws Exception {
        assertFalse(accepts(handlerOf(dir), NAME, PASSWORD));
    }

    @Test
    void aFileThatIsTooLargeLetsNobodyIn() throws Exception {
        Path file = dir.resolve("users");
        Files.writeString(file, goodFile() + "#".repeat(UsersFile.MAX_FILE_BYTES));
        assertFalse(accepts(handlerOf(file), NAME, PASSWORD));
    }

    /** What the first file says decides, so that an operator that knows of no further ones has their users out. */
    @Test
    void furtherFilesCountByTheWordThatTheFirstOneSays() throws Exception {
        Path first = dir.resolve("users");
        Path third = dir.resolve("users-2");
        FilePlainCallbackHandler handler = handlerOf(first);
        Files.writeString(third, said(goodFile(), ONE));
        for (String start : List.of("# head\n", "# head\n#files 3\n", "# head\n#files " + ONE + "\n",
                "# head\n#files " + ONE + " " + TWO + "\n", "# head\n#files " + TWO + " " + ONE, "#files " + TWO + " " + ONE + "\n",
                "# head\n\n#files " + TWO + " " + ONE + "\n", "# head\n#files" + (" " + ONE).repeat(Parts.MAX) + "\n", "")) {
            replace(first, start);
            assertFalse(accepts(handler, NAME, PASSWORD), start);
        }
        for (String start : List.of("# head\n#files " + TWO + " " + ONE + "\n",
                "\n#files" + (" " + ONE).repeat(Parts.MAX - 1) + "\n")) {
            replace(first, start);
            assertTrue(accepts(handler, NAME, PASSWORD), start);
        }
        for (String file : List.of(goodFile(), said(goodFile(), TWO), said(goodFile(), ONE + " " + ONE))) {
            replace(third, file);
            assertFalse(accepts(handler, NAME, PASSWORD), "it is not the one that counts");
        }
        replace(third, said(goodFile(), ONE));
        assertTrue(accepts(handler, NAME, PASSWORD));
        Files.delete(first);
        assertFalse(accepts(handler, NAME, PASSWORD), "nobody says that it counts");
    }

    @Test
    void aFurtherFileThatCannotBeReadHarmsItsOwnUsersAlone() throws Exception {
        Path first = dir.resolve("users");
        Path second = dir.resolve("users-1");
        Files.writeString(first, said("# head\n", ONE + " " + ONE));
        Files.writeString(dir.resolve("users-2"), said(goodFile(), ONE));
        FilePlainCallbackHandler handler = handlerOf(first);
        assertTrue(accepts(handler, NAME, PASSWORD), "it is missing");
        Files.createDirectory(second);
        assertTrue(accepts(handler, NAME, PASSWORD), "it is a directory");
        Files.delete(dir.resolve("users-2"));
        assertFalse(accepts(handler, NAME, PASSWORD));
        Files.delete(second);
        Files.writeString(second, said(goodFile(), ONE));
        assertTrue(accepts(handler, NAME, PASSWORD));
        replace(second, NOBODY);
        assertFalse(accepts(handler, NAME, PASSWORD));
    }

    /** A file may be late. What it has of somebody who stands in an earlier one by now opens nothing. */
    @Test
    void aNameInTwoFilesGoesByTheFirst() throws Exception {
        Path first = dir.resolve("users");
        String line = goodFile().lines().filter(l -> l.startsWith(NAME + ":")).findFirst().orElseThrow();
        int hash = line.lastIndexOf(':') + 1;
        String another = line.substring(0, hash) + (line.charAt(hash) == 'A' ? 'B' : 'A') + line.substring(hash + 1);
        Files.writeString(first, said("# head\n", ONE) + another + "\n");
        Files.writeString(dir.resolve("users-1"), said(goodFile(), ONE));
        FilePlainCallbackHandler handler = handlerOf(first);
        assertFalse(accepts(handler, NAME, PASSWORD));
        replace(first, said("# head\n", ONE));
        assertTrue(accepts(handler, NAME, PASSWORD));
    }

    @Test
    void aChangeCostsNothingForLinesThatStay() throws Exception {
        byte[] before = goodFile().getBytes(StandardCharsets.UTF_8);
        String line = goodFile().lines().filter(l -> l.startsWith(NAME + ":")).findFirst().orElseThrow();
        UsersFile.Users known = parse(before, parse(new byte[0], null));
        UsersFile.Users next = parse(("# changed\n" + line + "\n").getBytes(StandardCharsets.UTF_8), known);
        assertEquals(1, next.byName().size());
        assertSame(known.byName().get(NAME).get(0), next.byName().get(NAME).get(0));

        Path file = dir.resolve("users");
        Files.writeString(file, goodFile());
        UsersFile users = new UsersFile(file, false);
        UsersFile.Users first = users.current();
        replace(file, goodFile()); // as a mount does with all its files when one changes
        assertSame(first.byName(), users.current().byName());
        assertSame(users.current(), users.current());
    }

    @Test
    void aFaultyLineHarmsNoOtherLine() throws Exception {
        Path file = dir.resolve("users");
        Files.writeString(file, "nonsense\n" + goodFile() + "more:nonsense\n");
        assertTrue(accepts(handlerOf(file), NAME, PASSWORD));
    }

    @Test
    void theLogNamesTheFaultOnceAndNoSecret() throws Exception {
        Path file = dir.resolve("users");
        FilePlainCallbackHandler handler = handlerOf(file);
        assertFalse(accepts(handler, NAME, PASSWORD));
        String good = goodFile();
        Files.writeString(file, good + good);
        assertTrue(accepts(handler, NAME, PASSWORD));
        assertFalse(accepts(handler, NAME, "a wrong password"));

        String log = Files.readString(Path.of(System.getProperty("org.slf4j.simpleLogger.logFile")));
        List<String> ours = log.lines().filter(line -> line.contains(file.toString())).toList();
        assertEquals(3, ours.size(), log);
        assertTrue(ours.get(0).contains("ERROR") && ours.get(0).contains("nobody can log in"), ours.get(0));
        assertTrue(ours.get(1).contains("ERROR") && ours.get(1).contains("2 faulty lines"), ours.get(1));
        assertTrue(ours.get(2).contains("INFO") && ours.get(2).contains("12 users may log in"), ours.get(2));
        assertFalse(log.contains(PASSWORD) || log.contains("a wrong password"), log);
        for (String line : good.lines().filter(line -> !line.startsWith("#")).toList()) {
            String[] fields = line.split(":");
            assertFalse(log.contains(fields[2]) || log.contains(fields[3]), log);
        }
    }

    @Test
    void aMissingOptionStopsTheBroker() {
        FilePlainCallbackHandler handler = new FilePlainCallbackHandler();
        assertThrows(ConfigException.class, () -> handler.configure(Map.of(), "PLAIN", List.of(entry(Map.of()))));
        assertThrows(ConfigException.class, () -> handler.configure(Map.of(), "PLAIN", List.of()));
    }

    @Test
    void anotherMechanismStopsTheBroker() {
        FilePlainCallbackHandler handler = new FilePlainCallbackHandler();
        assertThrows(ConfigException.class, () -> handler.configure(Map.of(), "SCRAM-SHA-512",
                List.of(entry(Map.of(FilePlainCallbackHandler.USERS_FILE, "/users")))));
    }

    @Test
    void anUnknownCallbackIsRefused() throws Exception {
        FilePlainCallbackHandler handler = handlerOf(TESTDATA.resolve("users"));
        assertThrows(UnsupportedCallbackException.class,
                () -> handler.handle(new Callback[] {new PasswordCallback("password", false)}));
    }

    @Test
    void manyThreadsMayLogInWhileTheFileChanges() throws Exception {
        Path file = dir.resolve("users");
        Files.writeString(file, goodFile());
        FilePlainCallbackHandler handler = handlerOf(file);
        List<Thread> threads = new ArrayList<>();
        List<String> refused = Collections.synchronizedList(new ArrayList<>());
        for (int t = 0; t < 4; t++) {
            Thread thread = new Thread(() -> {
                for (int i = 0; i < 20; i++) {
                    try {
                        if (!accepts(handler, NAME, PASSWORD)) {
                            refused.add("refused");
                        }
                    } catch (Exception e) {
                        refused.add(e.toString());
                    }
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (int i = 0; i < 20; i++) {
            replace(file, goodFile() + "# " + i + "\n"); // anna stands in every version
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(List.of(), refused);
    }

    private static UsersFile.Users parse(byte[] content, UsersFile.Users before) {
        return UsersFile.parse(null, null, content,
                before != null ? before : new UsersFile.Users(null, null, Map.of(), List.of(), List.of()));
    }

    /** A file with words in its second line. */
    private static String said(String file, String words) {
        int second = file.indexOf('\n') + 1;
        return file.substring(0, second) + "#files " + words + "\n" + file.substring(second);
    }

    private static String goodFile() throws IOException {
        return Files.readString(TESTDATA.resolve("users"));
    }

    private static void replace(Path file, String content) throws IOException {
        Path next = Files.writeString(file.resolveSibling("next"), content);
        Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private static String decode(String text) {
        return text.equals("-") ? "" : new String(Base64.getDecoder().decode(text), StandardCharsets.UTF_8);
    }

    private static AppConfigurationEntry entry(Map<String, String> options) {
        return new AppConfigurationEntry("org.apache.kafka.common.security.plain.PlainLoginModule",
                LoginModuleControlFlag.REQUIRED, options);
    }

    private static FilePlainCallbackHandler handlerOf(Path file) {
        FilePlainCallbackHandler handler = new FilePlainCallbackHandler();
        handler.configure(Map.of(), "PLAIN",
                List.of(entry(Map.of(FilePlainCallbackHandler.USERS_FILE, file.toString()))));
        return handler;
    }

    private static boolean accepts(FilePlainCallbackHandler handler, String name, String password)
            throws UnsupportedCallbackException {
        PlainAuthenticateCallback login = new PlainAuthenticateCallback(password.toCharArray());
        handler.handle(new Callback[] {new NameCallback("username", name.isEmpty() ? "-" : name), login});
        return login.authenticated();
    }

    private static boolean acceptsThroughKafka(FilePlainCallbackHandler handler, String name, String password) {
        PlainSaslServer server = new PlainSaslServer(handler);
        try {
            server.evaluateResponse(("\0" + name + "\0" + password).getBytes(StandardCharsets.UTF_8));
            return server.isComplete();
        } catch (SaslAuthenticationException e) {
            return false;
        }
    }
}
