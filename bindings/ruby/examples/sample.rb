require 'vegas'

p = Vegas::Producer.new('stream-name')
p.send('partition-key', 'message')

process_record = lambda do |r|
  puts "#{r.partition_key}:#{r.data.force_encoding('utf-8')}"
end

c = Vegas::Consumer.new('stream-name', 'efo-arn', process_record) # group name or EFO consumer ARN; runs at once
puts 'Consumer is running. Press ctrl+c to stop'
c.run
