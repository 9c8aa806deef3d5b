# Two topics, then ten readings a second. Each line is KEY|JSON; n counts upwards.
for topic in readings readings.dead; do
  kafka-topics --bootstrap-server kafka:9092 --create --if-not-exists --topic "$topic" --partitions 8 --replication-factor 1
done
n=0
while sleep 0.1; do
  n=$((n + 1))
  machine=m-$((n % 20))
  printf '%s|{"machine":"%s","site":"site-%d","cpu":%d.%d,"n":%d}\n' "$machine" "$machine" "$((n % 4))" "$((RANDOM % 100))" "$((RANDOM % 10))" "$n"
done | kafka-console-producer --bootstrap-server kafka:9092 --topic readings --property parse.key=true --property 'key.separator=|'
