import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.HashMap;
import java.util.Map;
import org.springframework.batch.core.Job;
import org.springframework.batch.core.JobExecution;
import org.springframework.batch.core.JobParameters;
import org.springframework.batch.core.job.builder.JobBuilder;
import org.springframework.batch.core.launch.support.TaskExecutorJobLauncher;
import org.springframework.batch.core.repository.support.JobRepositoryFactoryBean;
import org.springframework.batch.core.step.builder.StepBuilder;
import org.springframework.batch.item.redis.RedisItemReader;
import org.springframework.core.task.SyncTaskExecutor;
import org.springframework.data.redis.connection.lettuce.LettuceConnectionFactory;
import org.springframework.data.redis.core.RedisTemplate;
import org.springframework.data.redis.core.ScanOptions;
import org.springframework.data.redis.serializer.StringRedisSerializer;
import org.springframework.jdbc.datasource.embedded.EmbeddedDatabaseBuilder;
import org.springframework.jdbc.datasource.embedded.EmbeddedDatabaseType;
import org.springframework.jdbc.support.JdbcTransactionManager;

/**
 * A group-by as Spring Batch does it: RedisItemReader (SCAN, then a GET for each key), a processor that reads the JSON, a
 * writer that adds up. The job repository is in memory (HSQLDB), so it costs as little as it can.
 *
 * <p>Arguments: Redis' host, its port, chunk size. Prints "rows=N groups=N seconds=S", the time of the job alone.
 */
public final class Main {
  private record Row(String site, double cpu) {}

  private static final class Group {
    long count;
    double sum;
    double most = Double.NEGATIVE_INFINITY;
  }

  public static void main(String[] arguments) throws Exception {
    int chunk = Integer.parseInt(arguments[2]);
    var connections = new LettuceConnectionFactory(arguments[0], Integer.parseInt(arguments[1]));
    connections.afterPropertiesSet();
    connections.start();
    var redis = new RedisTemplate<String, String>();
    redis.setConnectionFactory(connections);
    redis.setDefaultSerializer(new StringRedisSerializer());
    redis.afterPropertiesSet();

    var database =
        new EmbeddedDatabaseBuilder()
            .setType(EmbeddedDatabaseType.HSQL)
            .addScript("/org/springframework/batch/core/schema-hsqldb.sql")
            .build();
    var transactions = new JdbcTransactionManager(database);
    var factory = new JobRepositoryFactoryBean();
    factory.setDataSource(database);
    factory.setTransactionManager(transactions);
    factory.afterPropertiesSet();
    var repository = factory.getObject();

    var json = new ObjectMapper();
    Map<String, Group> groups = new HashMap<>();
    var reader = new RedisItemReader<>(redis, ScanOptions.scanOptions().match("row:*").count(1000).build());
    var step =
        new StepBuilder("reduce", repository)
            .<String, Row>chunk(chunk, transactions)
            .reader(reader)
            .processor(
                text -> {
                  JsonNode row = json.readTree(text);
                  return new Row(row.get("site").asText(), row.get("cpu").asDouble());
                })
            .writer(
                rows -> {
                  for (Row row : rows) {
                    Group group = groups.computeIfAbsent(row.site(), site -> new Group());
                    group.count++;
                    group.sum += row.cpu();
                    group.most = Math.max(group.most, row.cpu());
                  }
                })
            .build();
    Job job = new JobBuilder("rollup", repository).start(step).build();
    var launcher = new TaskExecutorJobLauncher();
    launcher.setJobRepository(repository);
    launcher.setTaskExecutor(new SyncTaskExecutor());
    launcher.afterPropertiesSet();

    long began = System.nanoTime();
    JobExecution execution = launcher.run(job, new JobParameters());
    double seconds = (System.nanoTime() - began) / 1e9;
    if (execution.getStatus().isUnsuccessful()) {
      execution.getAllFailureExceptions().forEach(Throwable::printStackTrace);
      System.exit(1);
    }
    long rows = execution.getStepExecutions().iterator().next().getReadCount();
    System.out.printf("rows=%d groups=%d seconds=%.3f%n", rows, groups.size(), seconds);
    connections.destroy();
  }
}
